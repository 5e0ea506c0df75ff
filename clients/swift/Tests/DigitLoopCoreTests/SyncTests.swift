import Foundation
import Libcrypto
import XCTest

@testable import DigitLoopCore

/// Syncs that overlap, break off, are slow, or meet a model that answers with NaN.
final class SyncTests: XCTestCase {
    private struct Setting {
        let vectors: FeedTests.FeedVectors, scenario: FeedTests.FeedVectors.Scenario
        let clock: TestClock, folder: URL

        func services(_ shelf: Shelf, _ models: (any LoopModelLoading)? = nil) -> LoopServices {
            LoopServices(
                cryptography: Libcrypto(), models: models ?? RecordedLoader(models: vectors.models), http: shelf,
                clock: clock)
        }

        func phone(_ shelf: Shelf, _ models: (any LoopModelLoading)? = nil) throws -> LoopPhone {
            try LoopPhone(
                site: Shelf.site, folder: folder, root: vectors.file(scenario.builtIn(0)), services: services(shelf, models))
        }

        func files(_ step: Int = 0) throws -> [String: Data] { try scenario.steps[step].files.mapValues(vectors.file) }
    }

    /// A new device, and the server's files of an honest scenario: version 1, then version 2.
    private func setting(_ name: String = "update_and_rollback") throws -> Setting {
        let vectors: FeedTests.FeedVectors = try Vectors.read("feed.json")
        let scenario = try XCTUnwrap(vectors.scenarios.first { $0.name == name })
        let clock = TestClock(try XCTUnwrap(DocumentTime.parse(scenario.steps[0].now)))
        return Setting(vectors: vectors, scenario: scenario, clock: clock, folder: temporaryFolder(self))
    }

    /// Two syncs at once are one: every file is asked for once, both get the same result.
    func testTwoSyncsAtOnceAreOne() async throws {
        let (setting, shelf) = (try setting(), Shelf(onPiece: { try await Task.sleep(nanoseconds: 2_000_000) }))
        shelf.put(try setting.files())
        let phone = try setting.phone(shelf)
        async let one = phone.sync()
        async let other = phone.sync()
        let (first, second) = (try await one, try await other)
        XCTAssertEqual(first, second)
        let paths = shelf.opened.map(\.path)
        XCTAssertEqual(paths.count, Set(paths).count, "\(paths)")
    }

    /// A sync in another process of the app makes this one refuse, and changes nothing.
    func testAnotherProcessIsRespected() async throws {
        let (setting, shelf) = (try setting(), Shelf())
        shelf.put(try setting.files())
        let phone = try setting.phone(shelf)
        var lock: FolderLock? = try FolderLock(setting.folder)
        let rule = await refusal { try await phone.sync() }
        XCTAssertEqual(rule, .busy)
        withExtendedLifetime(lock) {}
        lock = nil
        let done = try await phone.sync()
        XCTAssertEqual(done.current?.version, 1)
    }

    /// A model that answers NaN fails its self-test, wherever the NaN stands.
    func testNaNFailsTheSelfTest() async throws {
        for place in 0..<10 {
            let (setting, shelf) = (try setting(), Shelf())
            shelf.put(try setting.files())
            let phone = try setting.phone(shelf, NaNLoader(models: setting.vectors.models, place: place))
            let rule = await refusal { try await phone.sync() }
            XCTAssertEqual(rule, .selfTestFailed)
            let held = await phone.current
            XCTAssertNil(held)
        }
    }

    /// A download that breaks off is resumed where it ended; a server that ignores the range starts again.
    func testADownloadIsResumed() async throws {
        for keepsRanges in [true, false] {
            let (setting, pieces) = (try setting(), Counter())
            let shelf = Shelf(onPiece: { if pieces.next() == 5 { throw LoopError(.unavailable, "cut") } })
            shelf.put(try setting.files())
            let rule = await refusal { try await setting.phone(shelf).sync() }
            XCTAssertEqual(rule, .unavailable)
            let again = Shelf(keepsRanges: keepsRanges)
            again.put(try setting.files())
            let done = try await setting.phone(again).sync()
            XCTAssertEqual(done.current?.version, 1)
            XCTAssertTrue(again.opened.contains { $0.path.hasPrefix("models/") && $0.range != nil })
        }
    }

    /// A server that sends too slowly is left, and what it sent is kept.
    func testASlowServerIsLeft() async throws {
        let setting = try setting()
        let shelf = Shelf(onPiece: { setting.clock.pass(40) })
        shelf.put(try setting.files())
        let rule = await refusal { try await setting.phone(shelf).sync() }
        XCTAssertEqual(rule, .tooSlow)
    }

    /// A damaged state is refused at the start, not guessed.
    func testADamagedStateIsRefused() async throws {
        let (setting, shelf) = (try setting(), Shelf())
        shelf.put(try setting.files())
        try await setting.phone(shelf).sync()
        let file = setting.folder.appendingPathComponent("state.json")
        let state = try Data(contentsOf: file)
        for length in [0, 1, state.count / 2, state.count - 1] {
            try state.prefix(length).write(to: file)
            XCTAssertThrowsError(try setting.phone(shelf)) { XCTAssertEqual(($0 as? LoopError)?.rule, .stateUnreadable) }
        }
    }

    /// A damaged model is not used: the device installs it again.
    func testADamagedModelIsReplaced() async throws {
        let (setting, shelf) = (try setting(), Shelf())
        shelf.put(try setting.files())
        let first = try await setting.phone(shelf).sync()
        let model = DeviceFolder(folder: setting.folder).model(try XCTUnwrap(first.current?.digest))
        try Data("no model".utf8).write(to: model)
        let done = try await setting.phone(shelf).sync()
        XCTAssertTrue(done.installed)
        XCTAssertEqual(Libcrypto().digest(try Data(contentsOf: model)), done.current?.digest)
    }

    /// Nothing is confirmed before the first feed; afterwards at its rate, also after a restart.
    func testTheRateIsThatOfTheFeed() async throws {
        let (setting, shelf) = (try setting(), Shelf())
        shelf.put(try setting.files())
        let phone = try setting.phone(shelf)
        let before = await phone.confirmRate
        XCTAssertNil(before)
        try await phone.sync()
        let after = await phone.confirmRate, restarted = await (try setting.phone(shelf)).confirmRate
        XCTAssertEqual([after, restarted], [0.05, 0.05])
    }

    /// The folder has the state and the two models that it names, and nothing else.
    func testNothingIsLeftBehind() async throws {
        let (setting, shelf) = (try setting(), Shelf())
        for step in setting.scenario.steps.indices {
            shelf.put(try setting.files(step))
            try await setting.phone(shelf).sync()
        }
        let partial = Disk.files(in: setting.folder.appendingPathComponent("partial"))
        let models = Disk.files(in: setting.folder.appendingPathComponent("models"))
        XCTAssertEqual([partial.count, models.count], [0, 2])
    }
}

/// Counts calls.
final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0
    func next() -> Int { lock.withLock { count += 1; return count } }
    var value: Int { lock.withLock { count } }
}

/// Models that answer as recorded, except for one NaN.
private struct NaNLoader: LoopModelLoading {
    let models: [String: RecordedModel]
    let place: Int

    struct Model: LoopModel {
        let real: any LoopModel
        let place: Int
        var metadata: [String: String] { real.metadata }
        func probabilities(_ pixels: [UInt8]) async throws -> [Double] {
            var found = try await real.probabilities(pixels)
            found[place] = .nan
            return found
        }
    }

    func load(_ file: URL) async throws -> any LoopModel {
        Model(real: try await RecordedLoader(models: models).load(file), place: place)
    }

    func tidy(keeping _: Set<String>) {}
}
