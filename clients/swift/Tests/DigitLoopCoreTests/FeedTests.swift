import Foundation
import Libcrypto
import XCTest

@testable import DigitLoopCore

/// Devices follow the publishers of `clients/vectors/feed.json`, honest and attacked, as the Python client does.
final class FeedTests: XCTestCase {
    struct FeedVectors: Decodable {
        struct Step: Decodable {
            let now: String, built_in: String?, files: [String: String], refusal: String?
            let root: Int, epoch: Int, sequence: Int, current: Int?, previous: Int?
        }
        struct Scenario: Decodable {
            let name: String, root: String?, steps: [Step]
            /// The root that is built into the app at a step.
            func builtIn(_ step: Int) throws -> String { try XCTUnwrap(steps[step].built_in ?? root) }
        }
        let scenarios: [Scenario], updates: [Scenario], models: [String: RecordedModel], files: [String: [FilePart]]

        func file(_ name: String) throws -> Data { Data(try XCTUnwrap(files[name]).flatMap(\.bytes)) }
    }

    /// Every step of every scenario ends as in Python: the same refusal, the same trusted root and feed, the same model.
    func testEveryScenarioEndsAsInPython() async throws {
        let vectors: FeedVectors = try Vectors.read("feed.json")
        let attacks = vectors.scenarios.filter { $0.steps.last?.refusal != nil }
        XCTAssertGreaterThanOrEqual(attacks.count, 65)
        for scenario in vectors.scenarios { try await play(scenario, vectors) }
    }

    /// An app that is updated takes over a newer root that is built in, never an older one.
    func testUpdatedAppsTrustAsInPython() async throws {
        let vectors: FeedVectors = try Vectors.read("feed.json")
        XCTAssertGreaterThanOrEqual(vectors.updates.count, 15)
        for scenario in vectors.updates { try await play(scenario, vectors) }
    }

    struct GoldenVectors: Decodable {
        struct File: Decodable { let name: String, file: [FilePart], refusal: String? }
        let digest: String, model: RecordedModel, files: [File]
    }

    /// Golden files, good and bad, are judged as in Python.
    func testGoldenFiles() async throws {
        let vectors: GoldenVectors = try Vectors.read("golden.json")
        XCTAssertGreaterThan(vectors.files.count, 30)
        let release = LoopRelease(
            version: 1, digest: vectors.digest, length: 1, goldenDigest: "", goldenLength: 1, minimumIOS: "15.0",
            rolloutPercent: 100, urgent: false)
        let test = SelfTest(channel: "cnn.mlmodel", release: release, cryptography: Libcrypto())
        for vector in vectors.files {
            let data = Data(vector.file.flatMap(\.bytes))
            var refused: String?
            do {
                try Canonical.requireShallow(data)
                try await test.reproduces(vectors.model, data)
            } catch { refused = (error as? LoopError)?.rule.rawValue ?? "\(error)" }
            XCTAssertEqual(refused, vector.refusal, vector.name)
        }
    }

    private func play(_ scenario: FeedVectors.Scenario, _ vectors: FeedVectors) async throws {
        let (shelf, clock, folder) = (Shelf(), TestClock(), temporaryFolder(self))
        let services = LoopServices(
            cryptography: Libcrypto(), models: RecordedLoader(models: vectors.models), http: shelf, clock: clock)
        func started(_ step: Int) throws -> LoopPhone {
            let root = try vectors.file(scenario.builtIn(step))
            return try LoopPhone(site: Shelf.site, folder: folder, root: root, services: services)
        }
        var phone = try started(0)
        for (number, step) in scenario.steps.enumerated() {
            if number > 0, try scenario.builtIn(number) != scenario.builtIn(number - 1) { phone = try started(number) }
            let place = "\(scenario.name), step \(number)"
            clock.set(try XCTUnwrap(DocumentTime.parse(step.now)))
            shelf.put(try step.files.mapValues(vectors.file))
            let before = try? Data(contentsOf: folder.appendingPathComponent("state.json"))
            var refused: String?
            do { try await phone.sync() } catch { refused = (error as? LoopError)?.rule.rawValue ?? "\(error)" }
            XCTAssertEqual(refused, step.refusal, place)
            let trust = Trust(cryptography: Libcrypto())
            let state = try XCTUnwrap(DeviceFolder(folder: folder).load(trust), place)
            XCTAssertEqual(
                [state.trusted.root.version, state.trusted.root.epoch, state.trusted.sequence],
                [step.root, step.epoch, step.sequence], place)
            XCTAssertEqual([state.current?.version, state.previous?.version], [step.current, step.previous], place)
            let loaded = try await phone.model()
            XCTAssertEqual(loaded?.held, state.current, place)
            if refused != nil, number > 0, step.root == scenario.steps[number - 1].root, step.sequence == scenario.steps[number - 1].sequence {
                XCTAssertEqual(try Data(contentsOf: folder.appendingPathComponent("state.json")), before, place)
            }
        }
    }
}

/// The answers that `models.coreml` gave when the vectors were made; Core ML itself does not run on Linux.
struct RecordedModel: Decodable, LoopModel {
    let metadata: [String: String]
    let answers: [String: [Double]]

    func probabilities(_ pixels: [UInt8]) async throws -> [Double] {
        guard let answer = answers[Libcrypto().digest(Data(pixels))] else { throw CocoaError(.featureUnsupported) }
        return answer
    }
}

/// Loads the models that were recorded, by their digest.
struct RecordedLoader: LoopModelLoading {
    let models: [String: RecordedModel]

    func load(_ file: URL) async throws -> any LoopModel {
        guard let model = models[Libcrypto().digest(try Data(contentsOf: file))] else { throw CocoaError(.fileReadCorruptFile) }
        return model
    }

    func tidy(keeping _: Set<String>) {}
}

/// A server's files in memory, which a test may change. `opened` lists the paths and ranges of all requests.
final class Shelf: LoopHTTP, @unchecked Sendable {
    static let site = URL(string: "https://cdn.example/digits") ?? URL(fileURLWithPath: "/")
    private let lock = NSLock()
    private var files = [String: Data](), requests = [(path: String, range: String?)]()
    /// Called before each piece of a body.
    private let onPiece: @Sendable () async throws -> Void
    private let keepsRanges: Bool

    init(keepsRanges: Bool = true, onPiece: @escaping @Sendable () async throws -> Void = {}) {
        (self.keepsRanges, self.onPiece) = (keepsRanges, onPiece)
    }

    var opened: [(path: String, range: String?)] { lock.withLock { requests } }
    func put(_ all: [String: Data]) { lock.withLock { files = all } }

    func send(_ request: LoopRequest) async throws -> LoopResponse {
        let path = String(request.url.path.dropFirst("/digits/".count)), range = request.headers["Range"]
        let found = lock.withLock {
            requests.append((path, range))
            return files[path]
        }
        guard let data = found else { return answer(404, [:], Data()) }
        guard keepsRanges, let offset = range.flatMap({ Int($0.dropFirst("bytes=".count).dropLast()) }) else {
            return answer(200, [:], data)
        }
        let headers = ["Content-Range": "bytes \(offset)-\(data.count - 1)/\(data.count)"]
        return answer(206, headers, data.dropFirst(offset))
    }

    private func answer(_ status: Int, _ headers: [String: String], _ data: Data) -> LoopResponse {
        let pieces = stride(from: 0, to: data.count, by: 4096).map { Data(data.dropFirst($0).prefix(4096)) }
        let asked = Counter()
        // A piece is made when it is asked for, so that a test's clock moves while the body is read.
        let stream = AsyncThrowingStream<Data, any Error> { [onPiece] in
            let next = asked.next() - 1
            guard next < pieces.count else { return nil }
            try await onPiece()
            return pieces[next]
        }
        return LoopResponse(status: status, headers: headers, body: stream)
    }
}
