import Foundation
import Libcrypto
import XCTest

@testable import DigitLoopCore

/// Pictures and strokes give the pixels that Python gives, byte for byte.
final class PictureTests: XCTestCase {
    struct PictureVector: Decodable {
        let width: Int, height: Int, grey: Data
        let pixels: Data?, tiles: [Double]?

        func picture() throws -> LoopPicture {
            try LoopPicture(width: width, height: height, grey: Vectors.pixels(grey))
        }
    }

    struct StrokeVector: Decodable {
        let strokes: [[[Double]]], pen: Double
        let canvas: String, pixels: Data

        var drawing: LoopDrawing {
            LoopDrawing(strokes: strokes.map { $0.map { .init(x: $0[0], y: $0[1]) } }, penWidth: pen)
        }
    }

    /// Every picture is normalised to Python's 784 bytes, or refused where Python refuses it.
    func testPicturesAreNormalisedAsInPython() throws {
        let vectors: [PictureVector] = try Vectors.read("pictures.json")
        XCTAssertGreaterThanOrEqual(vectors.count, 200)
        for (i, vector) in vectors.enumerated() {
            let pixels = try? vector.picture().normalised()
            XCTAssertEqual(pixels, vector.pixels.map(Vectors.pixels), "picture \(i), \(vector.width)×\(vector.height)")
        }
    }

    /// Tiles agree with Python's to nine decimals.
    func testTilesAreThoseOfPython() throws {
        let vectors = try Vectors.read("pictures.json", as: [PictureVector].self).filter { $0.tiles != nil }
        XCTAssertGreaterThan(vectors.count, 50)
        for vector in vectors {
            let (found, expected) = (try vector.picture().tiles(), vector.tiles ?? [])
            XCTAssertEqual(found.count, 64)
            XCTAssertEqual(expected.count, 64)
            XCTAssertTrue(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-8 })
        }
    }

    /// Strokes give the same canvas and the same 784 bytes.
    func testStrokesAreDrawnAsInPython() throws {
        let vectors: [StrokeVector] = try Vectors.read("strokes.json")
        XCTAssertGreaterThan(vectors.count, 40)
        for (i, vector) in vectors.enumerated() {
            let canvas = try vector.drawing.picture()
            XCTAssertEqual(Libcrypto().digest(Data(canvas.grey)), vector.canvas, "drawing \(i)")
            XCTAssertEqual(try canvas.normalised(), Vectors.pixels(vector.pixels), "drawing \(i)")
        }
    }

    /// Control: one grey level more in the ink is noticed.
    func testControlAnotherPictureDiffers() throws {
        let vector = try Vectors.read("pictures.json", as: [PictureVector].self)[0]
        var grey = Vectors.pixels(vector.grey)
        let inked = try XCTUnwrap(grey.indices.first { grey[$0] > 100 && grey[$0] < 150 })
        grey[inked] += 60
        let changed = try LoopPicture(width: vector.width, height: vector.height, grey: grey).normalised()
        XCTAssertNotEqual(changed, vector.pixels.map(Vectors.pixels))
    }

    /// Pictures without a stroke, strokes without a point, and sizes that do not fit are refused.
    func testWhatIsNoPictureIsRefused() {
        func rule<T>(_ block: () throws -> T) -> LoopError.Rule? {
            do { _ = try block() } catch { return (error as? LoopError)?.rule }
            return nil
        }
        let blank = [UInt8](repeating: 7, count: 900)
        XCTAssertEqual(rule { try LoopPicture(width: 30, height: 30, grey: blank).normalised() }, .badImage)
        XCTAssertEqual(rule { try LoopPicture(width: 30, height: 29, grey: blank) }, .badImage)
        XCTAssertEqual(rule { try LoopPicture(width: 0, height: 0, grey: []) }, .badImage)
        XCTAssertEqual(rule { try LoopDrawing(strokes: [], penWidth: 3).picture() }, .badImage)
        XCTAssertEqual(rule { try LoopDrawing(strokes: [[.init(x: .nan, y: 0)]], penWidth: 3).picture() }, .badImage)
        XCTAssertEqual(rule { try LoopDrawing(strokes: [[.init(x: 0, y: 0)]], penWidth: 0).picture() }, .badImage)
    }
}
