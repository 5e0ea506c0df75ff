// The part of ImageIO that DigitLoop uses, declared as Apple documents it; for type-checking on Linux only.
import CoreGraphics
import Foundation

public typealias CFData = NSData
public typealias CFDictionary = NSDictionary
public class CGImageSource {}
public let kCGImageSourceCreateThumbnailFromImageAlways = "always"
public let kCGImageSourceCreateThumbnailWithTransform = "transform"
public let kCGImageSourceThumbnailMaxPixelSize = "size"
public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource? { fatalError("declared only") }
public func CGImageSourceCreateThumbnailAtIndex(_ source: CGImageSource, _ index: Int, _ options: CFDictionary?) -> CGImage? {
    fatalError("declared only")
}
