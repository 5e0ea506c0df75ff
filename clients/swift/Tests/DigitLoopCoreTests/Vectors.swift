import Foundation
import Libcrypto
import XCTest

@testable import DigitLoopCore

/// `clients/vectors/*.json`, found from this file.
enum Vectors {
    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("vectors")

    static func read<T: Decodable>(_ name: String, as _: T.Type = T.self) throws -> T {
        try JSONDecoder().decode(T.self, from: Data(contentsOf: folder.appendingPathComponent(name)))
    }

    /// Pairs of bytes: how often, and which level.
    static func pixels(_ runs: Data) -> [UInt8] {
        let bytes = [UInt8](runs)
        return stride(from: 0, to: bytes.count, by: 2).flatMap {
            [UInt8](repeating: bytes[$0 + 1], count: Int(bytes[$0]))
        }
    }
}

/// A part of a file: a text in which each character is one byte, or such a text n times.
enum FilePart: Decodable {
    case once(String)
    case times(String, Int)

    init(from decoder: any Decoder) throws {
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            self = .once(text)
            return
        }
        var list = try decoder.unkeyedContainer()
        self = .times(try list.decode(String.self), try list.decode(Int.self))
    }

    var bytes: [UInt8] {
        switch self {
        case .once(let text): text.unicodeScalars.map { UInt8($0.value) }
        case .times(let text, let count): Array((0..<count).map { _ in text.unicodeScalars.map { UInt8($0.value) } }.joined())
        }
    }
}

/// A folder that is removed when the test ends.
func temporaryFolder(_ test: XCTestCase) -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    test.addTeardownBlock { try? FileManager.default.removeItem(at: folder) }
    return folder
}

/// The error of an asynchronous block; fails the test if there is none.
func refusal<T>(
    file: StaticString = #filePath, line: UInt = #line, _ block: () async throws -> T
) async -> LoopError.Rule? {
    do {
        _ = try await block()
        XCTFail("expected an error, got none", file: file, line: line)
        return nil
    } catch { return (error as? LoopError)?.rule }
}

/// A clock that a test moves.
final class TestClock: LoopClock, @unchecked Sendable {
    private let lock = NSLock()
    private var time: Date
    private var seconds = 0.0

    init(_ time: Date = Date(timeIntervalSince1970: 1_777_777_777)) { self.time = time }
    func now() -> Date { lock.withLock { time } }
    func uptime() -> TimeInterval { lock.withLock { seconds } }
    func set(_ now: Date) { lock.withLock { time = now } }
    func pass(_ passed: TimeInterval) { lock.withLock { (time, seconds) = (time + passed, seconds + passed) } }
}
