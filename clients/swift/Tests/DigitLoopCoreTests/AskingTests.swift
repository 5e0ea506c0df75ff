import Foundation
import Libcrypto
import XCTest

@testable import DigitLoopCore

/// The vectors of `clients/vectors/asking.json`, and decisions that outlive the app.
final class AskingTests: XCTestCase {
    struct AskingVectors: Decodable {
        struct Best: Decodable { let digit: Int, share: Double, second: Int, second_share: Double }
        struct Ten: Decodable { let probabilities: [Double], best: Best? }
        struct Policy: Decodable { let ask_user: Bool, asked_a_day: Int, margin_ppm: Int, other_ppm: Int, unsure_ppm: Int }
        struct Decided: Decodable {
            let policy: Int, best: Double, second: Double, lot: Int, asked_today: Int
            let unsure: Bool, send: Bool, ask: Bool, rate: Double
        }
        struct Seen: Decodable { let epoch: Int, sequence: Int, digest: String }
        struct Document: Decodable {
            let name: String, chain: Int, seen: Seen?, now: String, file: [FilePart], refusal: String?, seen_after: Seen?
        }
        let two_best: [Ten], policies: [Policy], decisions: [Decided], roots: [[[FilePart]]], documents: [Document]
    }

    private func vectors() throws -> AskingVectors { try Vectors.read("asking.json") }

    private func policy(_ plain: AskingVectors.Policy) -> LoopAskingPolicy {
        LoopAskingPolicy(
            marginPPM: plain.margin_ppm, unsurePPM: plain.unsure_ppm, otherPPM: plain.other_ppm, askUser: plain.ask_user,
            askedADay: plain.asked_a_day)
    }

    /// The two best digits are Python's; what is no ten probabilities is refused.
    func testTwoBest() throws {
        let all = try vectors().two_best
        XCTAssertTrue(all.contains { $0.best == nil })
        for vector in all {
            let found = try? LoopTwoBest(vector.probabilities)
            XCTAssertEqual(found?.digit, vector.best?.digit, "\(vector.probabilities)")
            XCTAssertEqual(found?.second, vector.best?.second, "\(vector.probabilities)")
            XCTAssertEqual([found?.share, found?.secondShare], [vector.best?.share, vector.best?.second_share])
        }
    }

    /// Every decision is Python's, to the last bit of its rate.
    func testDecisions() throws {
        let vectors = try vectors()
        XCTAssertGreaterThan(vectors.decisions.count, 200)
        for vector in vectors.decisions {
            let policy = policy(vectors.policies[vector.policy])
            let found = policy.decide(vector.best, vector.second, lot: vector.lot, askedToday: vector.asked_today)
            XCTAssertEqual(found, Decision(send: vector.send, ask: vector.ask, rate: vector.rate), "\(vector)")
            XCTAssertEqual(policy.isUnsure(vector.best, vector.second), vector.unsure, "\(vector)")
        }
    }

    /// Policies, good and bad, are judged as in Python: the same refusal, the same that was seen.
    func testDocuments() throws {
        let (vectors, trust) = (try vectors(), Trust(cryptography: Libcrypto()))
        XCTAssertGreaterThan(vectors.documents.count, 35)
        for document in vectors.documents {
            let roots = vectors.roots[document.chain].map { Data($0.flatMap(\.bytes)) }
            let trusted = try roots.dropFirst().reduce(try trust.begin(roots[0])) { try trust.follow($0, $1) }
            let seen = document.seen.map { SeenAsking(epoch: $0.epoch, sequence: $0.sequence, digest: $0.digest) }
            let now = try XCTUnwrap(DocumentTime.parse(document.now))
            var refused: String?, after: SeenAsking?
            do {
                after = try trust.acceptAsking(trusted, seen, Data(document.file.flatMap(\.bytes)), now: now).seen
            } catch { refused = (error as? LoopError)?.rule.rawValue ?? "\(error)" }
            XCTAssertEqual(refused, document.refusal, document.name)
            XCTAssertEqual(
                after, document.seen_after.map { SeenAsking(epoch: $0.epoch, sequence: $0.sequence, digest: $0.digest) },
                document.name)
        }
    }

    private let unsure = [0.0, 0.52, 0.02, 0.02, 0.01, 0.01, 0.005, 0.41, 0.005, 0.0]
    private func drawing(_ seed: UInt8) -> [UInt8] { [UInt8](repeating: seed, count: 784) }

    /// A drawing's lot is drawn once and its user asked once, also after a restart and under a newer policy; the next day
    /// there are questions again.
    func testADecisionIsMadeOnce() throws {
        let folder = DeviceFolder(folder: temporaryFolder(self)), day = Date(timeIntervalSince1970: 1_777_777_777)
        func decide(_ seed: UInt8, lot: Int?, _ ppm: Int = 500_000, _ now: Date? = nil) throws -> LoopConsidered {
            let policy = LoopAskingPolicy(marginPPM: 300_000, unsurePPM: ppm, otherPPM: 0, askUser: true, askedADay: 1)
            let considering = Considering(folder: folder, cryptography: Libcrypto())
            return try considering.consider(drawing(seed), unsure, policy, now: now ?? day) {
                XCTAssertNotNil(lot, "a second lot")
                return lot ?? 0
            }
        }
        let first = try decide(1, lot: 499_999)
        XCTAssertEqual([first.unsure, first.send, first.askNow, first.known], [true, true, true, false])
        XCTAssertEqual([first.best.digit, first.best.second], [1, 7])
        let again = try decide(1, lot: nil, 0, day + 40 * 86_400)
        XCTAssertEqual([again.send, again.askNow, again.known, again.rate == 0.5], [true, false, true, true])
        XCTAssertFalse(try decide(2, lot: 0).askNow)
        XCTAssertFalse(try decide(3, lot: 500_000).send)
        XCTAssertTrue(try decide(4, lot: 0, 500_000, day + 86_400).askNow)
    }

    /// Without a valid policy nothing is decided, and the drawing is new when there is one.
    func testNothingIsDecidedWithoutAPolicy() throws {
        let considering = Considering(folder: DeviceFolder(folder: temporaryFolder(self)), cryptography: Libcrypto())
        let found = try considering.consider(drawing(1), unsure, nil, now: Date()) { 0 }
        XCTAssertNil(found.unsure)
        XCTAssertFalse(found.send)
        let policy = LoopAskingPolicy(marginPPM: 0, unsurePPM: 0, otherPPM: 1, askUser: true, askedADay: 1)
        let later = try considering.consider(drawing(1), unsure, policy, now: Date()) { 0 }
        XCTAssertEqual([later.unsure, later.send, later.known], [false, true, false])
    }

    /// A damaged memory is refused, not forgotten: forgetting would draw lots twice.
    func testADamagedMemoryIsRefused() async throws {
        let folder = temporaryFolder(self), unsure = unsure, drawing = drawing(1)
        try Disk.replace(folder.appendingPathComponent("decided.json"), with: Data(#"{"asked":0}"#.utf8))
        let considering = Considering(folder: DeviceFolder(folder: folder), cryptography: Libcrypto())
        let rule = await refusal { try considering.consider(drawing, unsure, nil, now: Date()) { 0 } }
        XCTAssertEqual(rule, .stateUnreadable)
    }

    /// At most a thousand drawings are remembered, the latest ones.
    func testTheMemoryIsBounded() {
        var memory = Memory(day: "2026-05-03")
        for number in 0..<1_200 {
            memory.remember(.init(digest: "\(number)", at: Date(), send: true, asked: true, ratePPM: 1))
        }
        XCTAssertEqual([memory.asked, memory.decided.count], [1_200, 1_000])
        XCTAssertEqual(memory.decided.first?.digest, "200")
    }
}
