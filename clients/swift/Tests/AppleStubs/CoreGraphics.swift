// The part of CoreGraphics that DigitLoop uses, declared as Apple documents it; for type-checking on Linux only.
import Foundation

public class CGImage {
    public var width: Int { fatalError("declared only") }
    public var height: Int { fatalError("declared only") }
}
public class CGColorSpace {}
public func CGColorSpaceCreateDeviceGray() -> CGColorSpace { fatalError("declared only") }
public class CGContext {
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: UInt32
    ) { fatalError("declared only") }
    public func draw(_ image: CGImage, in rectangle: CGRect) { fatalError("declared only") }
}
