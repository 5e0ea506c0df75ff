import DigitLoop
import Foundation
import SwiftUI

/// What the screen shows, and everything that this app needs of the loop.
@MainActor final class Notebook: ObservableObject {
    /// A drawing that was read. `word` is what was kept to send about it.
    struct Page {
        let reading: LoopReading
        var word: LoopCorrection?
        /// Set while the app asks "a 1 or a 7?".
        var question: LoopConsidered?
    }

    @Published var strokes = [[CGPoint]]()
    @Published private(set) var page: Page?
    @Published private(set) var history = [LoopHistory.Upload]()
    @Published private(set) var version: Int?
    @Published private(set) var status = ""
    static let penWidth = 18.0

    private let phone: LoopPhone
    private let outbox: LoopOutbox

    /// `root`: the file that `loop feed keys --create --save-root` wrote, in the app's bundle.
    init(server: URL, key: String, root: Data, folder: URL) throws {
        let services = LoopServices.apple(compiled: folder.appendingPathComponent("compiled"))
        phone = try LoopPhone(
            site: server.appendingPathComponent("v1"), folder: folder.appendingPathComponent("phone"), root: root,
            services: services)
        outbox = try LoopOutbox(
            api: server, folder: folder.appendingPathComponent("outbox"), key: key, secrets: KeychainSecret(),
            services: services)
    }

    /// At launch, once a day, and when there is a network again. A refusal changes nothing: the model that is there stays.
    func refresh() async {
        await attempt { [outbox] in status = Self.text(try await outbox.upload()) }
        await attempt { [phone] in try await phone.sync() }
        await attempt { [outbox] in history = try await outbox.history().corrections }
        version = await phone.current?.version
    }

    /// The user has lifted the finger for good.
    func read() async {
        let points = strokes.map { $0.map { LoopDrawing.Point(x: $0.x, y: $0.y) } }
        await attempt { [phone] in
            let reading = try await phone.read(LoopDrawing(strokes: points, penWidth: Self.penWidth))
            page = reading.map { Page(reading: $0) }
            if reading == nil { status = "no model yet; connect once" }
        }
    }

    /// The user says which digit it is, perhaps for the second time: the later word counts.
    func say(_ digit: Int) async {
        guard let reading = page?.reading else { return }
        await attempt { [phone, outbox] in
            let rate = await phone.confirmRate
            guard let word = try LoopCorrection.said(digit, about: reading, confirmRate: rate) else {
                return try await agreed(digit, reading)
            }
            try await outbox.add(word)
            page?.word = word
            status = Self.text(try await outbox.upload())
        }
    }

    /// The user agreed, and no confirmation is sent: the asking policy decides as ever. If it asks, the answer is known.
    private func agreed(_ digit: Int, _ reading: LoopReading) async throws {
        let found = try await phone.consider(reading)
        if let word = try LoopCorrection.left(reading, found, answer: found.askNow ? digit : nil) {
            try await outbox.add(word)
            status = Self.text(try await outbox.upload())
        }
        await clear()
    }

    /// The user goes on to the next drawing. If nobody corrected this one, the asking policy says what becomes of it.
    func next() async {
        guard let open = page, open.word == nil, open.question == nil else { return await clear() }
        await attempt { [phone] in
            let found = try await phone.consider(open.reading)
            page?.question = found
            if !found.askNow { await answer(nil) }
        }
    }

    /// The answer to "a 1 or a 7?"; nil: the user did not say, or was not asked.
    func answer(_ digit: Int?) async {
        guard let open = page, let found = open.question else { return }
        await attempt { [outbox] in
            if let word = try LoopCorrection.left(open.reading, found, answer: digit) {
                try await outbox.add(word)
                status = Self.text(try await outbox.upload())
            }
        }
        await clear()
    }

    /// Takes the last word back: dropped if it was never sent, withdrawn if it was.
    func undo() async {
        guard let word = page?.word else { return }
        await attempt { [outbox] in status = Self.text(try await outbox.undo(word.key)) }
        page?.word = nil
    }

    /// Deletes everything that this install has sent.
    func erase() async {
        await attempt { [outbox] in
            try await outbox.erase()
            history = []
        }
    }

    private func clear() async { (strokes, page) = ([], nil) }

    private func attempt(_ work: () async throws -> Void) async {
        do { try await work() } catch { status = "\(error)" }
    }

    private static func text(_ done: LoopUploaded) -> String {
        let refused = done.refused.map { "refused: \($0.detail)" }.joined(separator: "; ")
        return done.waiting == 0 ? "everything is sent \(refused)" : "\(done.waiting) wait: \(done.why ?? "") \(refused)"
    }
}
