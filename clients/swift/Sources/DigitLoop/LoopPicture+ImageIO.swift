#if canImport(ImageIO)
    import CoreGraphics
    import DigitLoopCore
    import Foundation
    import ImageIO

    extension LoopPicture {
        /// The longest side that is kept of a photo, in pixels.
        private static let longestSide = 1024

        /// A photo or drawing as grey levels, upright, scaled down to at most 1,024 pixels a side. Throws `badImage`.
        public init(file data: Data) throws {
            let options: [String: Any] = [
                kCGImageSourceCreateThumbnailFromImageAlways as String: true,
                kCGImageSourceCreateThumbnailWithTransform as String: true,
                kCGImageSourceThumbnailMaxPixelSize as String: Self.longestSide,
            ]
            guard let source = CGImageSourceCreateWithData(NSData(data: data) as CFData, nil),
                let image = CGImageSourceCreateThumbnailAtIndex(source, 0, NSDictionary(dictionary: options) as CFDictionary)
            else { throw LoopError(.badImage, "expected an image file, got \(data.count) bytes that are none") }
            try self.init(image)
        }

        /// An image's grey levels; what is transparent is black.
        public init(_ image: CGImage) throws {
            let (width, height) = (image.width, image.height)
            var grey = [UInt8](repeating: 0, count: width * height)
            let drawn = grey.withUnsafeMutableBytes { bytes in
                guard let context = CGContext(
                    data: bytes.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: width,
                    space: CGColorSpaceCreateDeviceGray(), bitmapInfo: 0)
                else { return false }
                context.draw(image, in: CGRect(x: 0, y: 0, width: Double(width), height: Double(height)))
                return true
            }
            guard drawn else { throw LoopError(.badImage, "expected an image that can be drawn, got \(width)×\(height)") }
            try self.init(width: width, height: height, grey: grey)
        }
    }
#endif
