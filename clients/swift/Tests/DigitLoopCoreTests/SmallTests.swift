import Foundation
import Libcrypto
import XCTest

@testable import DigitLoopCore

/// Source names, rollout buckets, times, PNG files and canonical JSON.
final class SmallTests: XCTestCase {
    struct Small: Decodable {
        struct Source: Decodable { let secret: String, source: String }
        struct Bucket: Decodable { let device: String, digest: String, bucket: Int }
        struct Time: Decodable { let text: String, seconds: Int? }
        struct File: Decodable { let pixels: Data, file: Data }
        let sources: [Source], buckets: [Bucket], times: [Time], png: File
    }

    struct NoHTTP: LoopHTTP {
        func send(_: LoopRequest) async throws -> LoopResponse { throw LoopError(.unavailable, "offline") }
    }

    struct Secret: LoopSecretKeeping {
        func secret() throws -> String { String(repeating: "A", count: 43) }
        func forget() throws {}
    }

    private func small() throws -> Small { try Vectors.read("small.json") }

    /// A secret names the source that the server computes from it.
    func testSources() throws {
        let server = UploadServer(
            api: URL(fileURLWithPath: "/"), key: "", secrets: Secret(), http: NoHTTP(), cryptography: Libcrypto())
        for vector in try small().sources { XCTAssertEqual(server.source(vector.secret), vector.source) }
    }

    /// A device's place in a rollout is the server's.
    func testBuckets() throws {
        let trust = Trust(cryptography: Libcrypto())
        for vector in try small().buckets {
            XCTAssertEqual(trust.bucket(device: vector.device, digest: vector.digest), vector.bucket)
        }
    }

    /// Times of documents are read as in Python, and written back as they were.
    func testTimes() throws {
        for vector in try small().times {
            let time = DocumentTime.parse(vector.text)
            XCTAssertEqual(time.map { Int($0.timeIntervalSince1970) }, vector.seconds, vector.text)
            if let time { XCTAssertEqual(DocumentTime.text(time), vector.text) }
        }
    }

    /// Every day from 1970 to 2110 is written and read back.
    func testEveryDay() {
        for day in 0..<51_000 {
            let time = Date(timeIntervalSince1970: Double(day) * 86_400 + 4_321)
            XCTAssertEqual(DocumentTime.parse(DocumentTime.text(time)), time)
        }
    }

    /// A PNG file has the bytes that Python writes without compression.
    func testPNG() throws {
        let vector = try small().png
        XCTAssertEqual(PNG.encoded(Vectors.pixels(vector.pixels), side: 28), vector.file)
    }

    /// What is parsed has that one encoding; any other bytes are refused.
    func testCanonicalJSON() throws {
        for text in [#"{}"#, #"{"a":[],"b":{"c":true,"d":false}}"#, #"{"a":9007199254740991,"b":"[{ ~"}"#, #"{"A":0,"a":[1,"x"]}"#] {
            XCTAssertEqual(Canonical.object(try Canonical.parse(Data(text.utf8))).encoded, text)
        }
        let refused = [
            "", "[]", "1", #"{"a":}"#, #"{"a":1"#, #"{"a":1}}"#, #"{"a":1,}"#, #"{"a":01}"#, #"{"a":-1}"#, #"{"a":1.0}"#, #"{"a":1e1}"#,
            #"{"a":null}"#, #"{"a": 1}"#, #"{"b":1,"a":1}"#, #"{"a":1,"a":1}"#, #"{"a":"\u0061"}"#, #"{"a":9007199254740992}"#, #"{"a":"é"}"#,
            #"{"a":[[[[[[[1]]]]]]]}"#, #"{"a":tru}"#, "{\"a\":\"\u{7f}\"}",
        ]
        for text in refused { XCTAssertThrowsError(try Canonical.parse(Data(text.utf8)), text) }
    }

    /// What the server would refuse is refused before it gets into the outbox.
    func testCorrectionsAreCheckedFirst() {
        let pixels = [UInt8](repeating: 0, count: 784)
        func confirmed(_ rate: Double) throws -> LoopCorrection {
            try .confirmation(pixels, predicted: 3, confidence: 0.9, version: 1, rate: rate)
        }
        XCTAssertNoThrow(try confirmed(0.05))
        for rate in [0, -1, 1.5, .nan] { XCTAssertThrowsError(try confirmed(rate)) }
        XCTAssertThrowsError(try LoopCorrection.correction(pixels, label: 3, predicted: 3, confidence: 0.5, version: 1))
        XCTAssertThrowsError(try LoopCorrection.correction(pixels, label: 10, predicted: 3, confidence: 0.5, version: 1))
        XCTAssertThrowsError(try LoopCorrection.correction(pixels, label: 1, predicted: 3, confidence: .nan, version: 1))
        XCTAssertThrowsError(try LoopCorrection.correction(pixels, label: 1, predicted: 3, confidence: 0.5, version: 0))
        XCTAssertNoThrow(try LoopCorrection.correction(pixels, label: 1, predicted: 3, confidence: 0.5, version: nil))
        XCTAssertThrowsError(try LoopCorrection.drawing(pixels, probabilities: [1, 1] + pixels[..<8].map(Double.init), version: 1, rate: 1))
        XCTAssertThrowsError(try LoopCorrection.correction([], label: 1, predicted: 3, confidence: 0.5, version: 1))
    }
}
