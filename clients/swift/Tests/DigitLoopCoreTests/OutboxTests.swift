import Foundation
import Libcrypto
import XCTest

@testable import DigitLoopCore

/// What the outbox does with each answer: docs/api.md, "The outbox of an app".
final class OutboxTests: XCTestCase {
    private struct Setting {
        let api: UploadAPI, clock: TestClock, folder: URL, secret = CountedSecret()

        func outbox(corrections: Int = 100) throws -> LoopOutbox {
            let services = LoopServices(
                cryptography: Libcrypto(), models: RecordedLoader(models: [:]), http: api, clock: clock)
            return try LoopOutbox(
                api: URL(fileURLWithPath: "/"), folder: folder, key: "loop_app_x", secrets: secret,
                services: services, batch: LoopBatchLimits(corrections: corrections))
        }
    }

    private func setting(_ answer: @escaping UploadAPI.Answer) -> Setting {
        Setting(api: UploadAPI(answer), clock: TestClock(), folder: temporaryFolder(self))
    }

    private func fill(_ outbox: LoopOutbox, _ setting: Setting, _ keys: ClosedRange<Int>) async throws {
        for key in keys {
            setting.clock.pass(1)
            try await outbox.add(
                .correction([UInt8](repeating: 9, count: 784), label: 1, predicted: 7, confidence: 0.5, version: 3, key: "k\(key)"))
        }
    }

    /// One correction is sent alone, with its key, its source's secret and the app's key, and leaves when it is accepted.
    func testAnAcceptedCorrectionLeaves() async throws {
        let setting = setting { _ in (201, [:], "{}") }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...1)
        let done = try await outbox.upload()
        XCTAssertEqual([done.accepted.count, done.waiting], [1, 0])
        let sent = try XCTUnwrap(setting.api.requests.first)
        XCTAssertEqual(sent.url.path, "/v1/corrections")
        XCTAssertEqual(sent.headers["Idempotency-Key"], "k1")
        XCTAssertEqual(sent.headers["Loop-Source"], String(repeating: "A", count: 43))
        XCTAssertEqual(sent.headers["Authorization"], "Bearer loop_app_x")
    }

    /// Each status of the table, for one correction alone: final ones drop it, all others keep it.
    func testEachStatus() async throws {
        for status in [200, 201, 400, 410, 413, 415, 422, 401, 403, 404, 408, 409, 429, 500, 502, 503, 507] {
            let setting = setting { _ in (status, [:], #"{"type":"urn:digit-loop:x"}"#) }
            let outbox = try setting.outbox()
            try await fill(outbox, setting, 1...1)
            let done = try await outbox.upload()
            let dropped = (200..<300).contains(status) || [400, 410, 413, 415, 422].contains(status)
            XCTAssertEqual(done.waiting, dropped ? 0 : 1, "\(status)")
            XCTAssertEqual(done.refused.map(\.type), dropped && status >= 300 ? ["urn:digit-loop:x"] : [], "\(status)")
        }
    }

    /// No answer keeps everything.
    func testNoAnswerKeepsEverything() async throws {
        let setting = setting { _ in nil }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...3)
        let done = try await outbox.upload()
        XCTAssertEqual([done.accepted.count, done.waiting], [0, 3])
    }

    /// A single upload waits as long as Retry-After says, also after a restart, and not a second longer.
    func testRetryAfterIsKept() async throws {
        let setting = setting { _ in (429, ["Retry-After": "90"], #"{"type":"urn:digit-loop:quota-spent"}"#) }
        try await fill(try setting.outbox(), setting, 1...1)
        let first = try await setting.outbox().upload()
        XCTAssertNotNil(first.notBefore)
        setting.clock.pass(80)
        try await setting.outbox().upload()
        XCTAssertEqual(setting.api.requests.count, 1)
        setting.clock.pass(12)
        try await setting.outbox().upload()
        XCTAssertEqual(setting.api.requests.count, 2)
    }

    /// A clock that was set back does not make the outbox wait for years.
    func testAWaitIsNeverLongerThanADay() async throws {
        let setting = setting { _ in (503, ["Retry-After": "999999999"], "") }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...1)
        try await outbox.upload()
        setting.clock.set(setting.clock.now() - 400 * 86_400)
        try await outbox.upload()
        XCTAssertEqual(setting.api.requests.count, 2)
    }

    /// Several go as a batch, oldest first; each is treated by its own answer.
    func testEachOfABatchHasItsOwnAnswer() async throws {
        let setting = setting { request in
            guard request.url.path.hasSuffix(":batch") else { return nil }
            return (200, [:], #"{"answers":[{"status":201},{"status":422,"problem":{"type":"urn:digit-loop:bad-image"}},{"status":429,"problem":{"type":"urn:digit-loop:quota-spent","retry_after":60}}]}"#)
        }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...3)
        let done = try await outbox.upload()
        XCTAssertEqual(setting.api.keys(0), ["k1", "k2", "k3"])
        XCTAssertEqual([done.accepted.count, done.waiting], [1, 1])
        XCTAssertEqual(done.refused, [.init(key: "k2", type: "urn:digit-loop:bad-image", detail: "")])
        XCTAssertNotNil(done.notBefore)
    }

    /// A batch that must be split is halved until each correction has an answer of its own; none is lost.
    func testABatchIsSplit() async throws {
        for (status, body) in [(413, "<html>a proxy</html>"), (413, Self.split), (400, Self.split)] {
            let setting = setting { request in
                request.url.path.hasSuffix(":batch") ? (status, [:], body) : (201, [:], "{}")
            }
            let outbox = try setting.outbox()
            try await fill(outbox, setting, 1...5)
            let done = try await outbox.upload()
            XCTAssertEqual([done.accepted.count, done.waiting], [5, 0])
            let alone = setting.api.requests.compactMap { $0.headers["Idempotency-Key"] }
            XCTAssertEqual(alone, ["k1", "k2", "k3", "k4", "k5"])
        }
    }

    private static let split = #"{"type":"urn:digit-loop:split-batch"}"#

    /// A refusal of a batch is never a refusal of its corrections.
    func testARefusedBatchKeepsItsCorrections() async throws {
        for status in [400, 401, 403, 404, 415, 422, 429, 500] {
            let setting = setting { _ in (status, [:], #"{"type":"urn:digit-loop:other"}"#) }
            let outbox = try setting.outbox()
            try await fill(outbox, setting, 1...4)
            let done = try await outbox.upload()
            XCTAssertEqual([done.accepted.count, done.refused.count, done.waiting], [0, 0, 4], "\(status)")
        }
    }

    /// Answers that are fewer than the corrections are no answers.
    func testAnswersThatDoNotFitAreNone() async throws {
        let setting = setting { _ in (200, [:], #"{"answers":[{"status":201}]}"#) }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...2)
        let done = try await outbox.upload()
        XCTAssertEqual([done.accepted.count, done.waiting], [0, 2])
    }

    /// Weeks of corrections go in batches of the given size.
    func testManyGoInBatches() async throws {
        let setting = setting { request in
            let count = (try? UploadAPI.keys(request))?.count ?? 0
            let answers = [String](repeating: #"{"status":201}"#, count: count).joined(separator: ",")
            return request.url.path.hasSuffix(":batch") ? (200, [:], #"{"answers":[\#(answers)]}"#) : (201, [:], "{}")
        }
        let outbox = try setting.outbox(corrections: 10)
        try await fill(outbox, setting, 1...25)
        let done = try await outbox.upload()
        XCTAssertEqual([done.accepted.count, done.waiting, setting.api.requests.count], [25, 0, 3])
    }

    /// Two uploads at once are one.
    func testTwoUploadsAtOnceAreOne() async throws {
        let setting = setting { _ in (201, [:], "{}") }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...1)
        async let one = outbox.upload()
        async let other = outbox.upload()
        let (first, second) = (try await one, try await other)
        XCTAssertLessThanOrEqual(first.accepted.count + second.accepted.count, 2)
        XCTAssertEqual(setting.api.requests.count, 1)
    }

    /// Drawings go to their own list, in the order in which they were added.
    func testDrawingsHaveTheirOwnList() async throws {
        let setting = setting { request in
            request.url.path.hasSuffix(":batch") ? (200, [:], #"{"answers":[{"status":201},{"status":201}]}"#) : (201, [:], "{}")
        }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...1)
        for key in ["d1", "d2"] {
            let shares = [0.5, 0.4, 0.1, 0, 0, 0, 0, 0, 0, 0], pixels = [UInt8](repeating: 9, count: 784)
            try await outbox.add(.drawing(pixels, probabilities: shares, version: 3, rate: 0.2, key: key))
        }
        try await fill(outbox, setting, 2...2)
        let done = try await outbox.upload()
        XCTAssertEqual(done.accepted.map(\.key), ["k1", "d1", "d2", "k2"])
        XCTAssertEqual(setting.api.requests.map(\.url.path), ["/v1/corrections", "/v1/drawings:batch", "/v1/corrections"])
        let sent = String(decoding: setting.api.requests[1].body ?? Data(), as: UTF8.self)
        XCTAssertTrue(sent.hasPrefix(#"{"drawings":[{"captured_at":"#), sent)
        XCTAssertTrue(sent.contains(#""rate":0.2,"runner_up":1,"runner_up_confidence":0.4,"version":3"#), sent)
        XCTAssertFalse(sent.contains("label") || sent.contains("kind"), sent)
    }

    /// What was never sent is dropped without a request; what was accepted is withdrawn by its number.
    func testUndo() async throws {
        let setting = setting { _ in (201, [:], #"{"id":41}"#) }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...1)
        try await outbox.undo("k1")
        XCTAssertEqual(setting.api.requests.count, 0)
        try await fill(outbox, setting, 2...2)
        let sent = try await outbox.upload()
        XCTAssertEqual(sent.accepted, [.init(key: "k2", id: 41)])
        setting.api.answer = { _ in (200, [:], "{}") }
        let done = try await setting.outbox().undo("k2")
        XCTAssertEqual(done.withdrawn, ["k2"])
        XCTAssertEqual(setting.api.requests.map { "\($0.method) \($0.url.path)" }.last, "DELETE /v1/corrections/41")
    }

    /// What may be on the server, because no answer arrived, is sent again and then withdrawn.
    func testUndoOfWhatMayBeStored() async throws {
        let setting = setting { _ in nil }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...1)
        let first = try await outbox.upload()
        XCTAssertEqual(first.why, "the server does not answer")
        let offline = try await outbox.undo("k1")
        XCTAssertEqual(offline.waiting, 1)
        setting.api.answer = { $0.method == "DELETE" ? (200, [:], "{}") : (201, [:], #"{"id":5}"#) }
        let done = try await outbox.upload()
        XCTAssertEqual([done.withdrawn, done.accepted.map(\.key)], [["k1"], ["k1"]])
    }

    /// An erasure without a network is done before anything is sent again, also after a restart, and makes a new source.
    func testAnErasureIsNotForgotten() async throws {
        let setting = setting { _ in nil }
        let outbox = try setting.outbox()
        try await fill(outbox, setting, 1...3)
        let rule = await refusal { try await outbox.erase() }
        XCTAssertEqual(rule, .unavailable)
        let left = await outbox.waiting
        XCTAssertEqual(left, 0)
        setting.clock.set(setting.clock.now() - 400 * 86_400)  // a clock that is set back erases nothing that is new
        let restarted = try setting.outbox()
        try await fill(restarted, setting, 4...4)
        setting.api.answer = { $0.method == "DELETE" ? (200, [:], #"{"uploads":0,"considered":[2]}"#) : (201, [:], "{}") }
        let done = try await restarted.upload()
        XCTAssertEqual(done.accepted.map(\.key), ["k4"])
        XCTAssertEqual(done.erased, LoopErased(uploads: 0, considered: [2]))
        XCTAssertEqual(setting.api.requests.map(\.method), ["DELETE", "DELETE", "POST"])
        XCTAssertEqual(setting.api.requests[0].url.lastPathComponent.count, 41)
        XCTAssertEqual(setting.secret.forgotten, 1)
    }

    /// An app that was killed between the promise to erase and the removal of what waits sends nothing of it.
    func testAKilledErasureSendsNothingOld() async throws {
        let setting = setting { $0.method == "DELETE" ? (200, [:], #"{"uploads":0,"considered":[]}"#) : (201, [:], "{}") }
        try await fill(try setting.outbox(), setting, 1...3)
        let folder = OutboxFolder(folder: setting.folder, cryptography: Libcrypto())
        try folder.remember(Promise(erases: folder.latest(setting.clock.now())))
        let done = try await setting.outbox().upload()
        XCTAssertEqual([done.accepted.count, done.waiting], [0, 0])
        XCTAssertEqual(setting.api.requests.map(\.method), ["DELETE"])
    }

    /// A page of history, and a copy of everything that is only kept if it is whole.
    func testHistoryAndExport() async throws {
        let whole = #"{"source":"s"}"# + "\n" + #"{"id":1}"# + "\n" + #"{"end":1}"# + "\n"
        let setting = setting { request in
            guard request.url.path.hasSuffix("export") else {
                return (200, [:], #"{"corrections":[{"id":3,"status":"accepted","kind":"drawing","digest":"d","considered":[]}],"next":3}"#)
            }
            return (200, [:], whole)
        }
        let outbox = try setting.outbox()
        let page = try await outbox.history(before: 9)
        XCTAssertEqual([page.corrections.first?.id, page.next], [3, 3])
        XCTAssertEqual(setting.api.requests[0].url.query, "limit=50&before=9")
        let file = setting.folder.appendingPathComponent("copy.jsonl")
        let count = try await outbox.export(to: file)
        XCTAssertEqual(count, 1)
        for cut in [whole.count - 1, whole.count - 10, 0] {
            setting.api.answer = { _ in (200, [:], String(whole.prefix(cut))) }
            let rule = await refusal { try await outbox.export(to: file) }
            XCTAssertEqual(rule, .truncated)
            XCTAssertEqual(try String(contentsOf: file, encoding: .utf8), whole)
        }
    }
}
