import Foundation
import XCTest

@testable import DigitLoopCore

/// A phone at a real server, through `URLSession`. tests/clients/test_swift_live.py starts the server and looks at its store.
final class LiveTests: XCTestCase {
    private struct Given: LoopSecretKeeping {
        let kept: String
        func secret() throws -> String { kept }
    }

    private func server() throws -> URL {
        let url = try environment("URL")
        return try XCTUnwrap(URL(string: url))
    }

    private func environment(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment["LOOP_LIVE_\(name)"] else {
            throw XCTSkip("no server: tests/clients/test_swift_live.py starts one and sets LOOP_LIVE_\(name)")
        }
        return value
    }

    private func services(_ clock: any LoopClock = LoopSystemClock()) throws -> LoopServices {
        let vectors: FeedTests.FeedVectors = try Vectors.read("feed.json")
        return LoopServices(cryptography: Libcrypto(), models: RecordedLoader(models: vectors.models), clock: clock)
    }

    private func outbox() throws -> LoopOutbox {
        try LoopOutbox(
            api: server(), folder: temporaryFolder(self), key: try environment("KEY"),
            secrets: Given(kept: try environment("SECRET")), services: services())
    }

    /// A sync installs what the server's feed names, and a second one keeps it.
    func testSync() async throws {
        let site = try server().appendingPathComponent("v1")
        let vectors: FeedTests.FeedVectors = try Vectors.read("feed.json")
        let scenario = try XCTUnwrap(vectors.scenarios.first { $0.name == "update_and_rollback" })
        let clock = TestClock(try XCTUnwrap(DocumentTime.parse(scenario.steps[0].now)))
        let phone = try LoopPhone(
            site: site, folder: temporaryFolder(self), root: vectors.file(scenario.root), services: services(clock))
        let first = try await phone.sync()
        XCTAssertEqual([first.installed, first.current?.version == scenario.steps[0].current], [true, true])
        let second = try await phone.sync()
        XCTAssertFalse(second.installed)
    }

    /// Three corrections and a confirmation, alone and as a batch, are accepted; sending them again changes nothing.
    func testUpload() async throws {
        for batches in [1, 100] {
            for digit in 0..<4 {
                let outbox = try outbox()
                for other in 0...(batches == 1 ? 0 : digit) { try await outbox.add(self.word(batches == 1 ? digit : other)) }
                let done = try await outbox.upload()
                XCTAssertEqual(done.refused, [])
                XCTAssertEqual(done.waiting, 0)
            }
        }
    }

    private func word(_ digit: Int) throws -> LoopCorrection {
        var pixels = [UInt8](repeating: 0, count: 784)
        for i in 0..<120 { pixels[300 + i] = UInt8(100 + (i * (digit + 3)) % 150) }
        let at = Date(timeIntervalSince1970: 1_777_777_777)
        return digit == 3
            ? try .confirmation(pixels, predicted: 3, confidence: 0.9, version: 1, rate: 0.05, at: at, key: "live-3")
            : try .correction(pixels, label: digit, predicted: 8, confidence: 0.5, version: 1, at: at, key: "live-\(digit)")
    }

    /// A key that the server does not know keeps everything.
    func testUnknownKey() async throws {
        let stranger = try LoopOutbox(
            api: server(), folder: temporaryFolder(self), key: "loop_app_unknown",
            secrets: Given(kept: try environment("SECRET")), services: services())
        try await stranger.add(word(1))
        let done = try await stranger.upload()
        XCTAssertEqual([done.accepted, done.refused.count, done.waiting], [0, 0, 1])
    }

    /// The server erases the source.
    func testErase() async throws {
        try await outbox().erase()
    }
}
