import Foundation

/// What the outbox has promised: to erase, and to wait.
struct Promise: Sendable, Equatable {
    static let longestSeconds = 86_400
    var erases = false
    var notBefore: Date?
}

/// The outbox's files.
///
///     waiting/MILLISECONDS-KEY.json   one correction each, named by when it was added, so the oldest is sent first
///     promise.json                    an erasure that is due, and when the server wants the next upload
struct OutboxFolder: Sendable {
    let folder: URL

    struct Entry: Sendable {
        let file: URL
        let key: String
        let body: Data
    }

    private var place: URL { folder.appendingPathComponent("waiting") }
    private var promiseFile: URL { folder.appendingPathComponent("promise.json") }

    func add(_ correction: LoopCorrection, at now: Date) throws {
        let milliseconds = String(max(0, Int(now.timeIntervalSince1970 * 1000)))
        let name = String(repeating: "0", count: max(0, 15 - milliseconds.count)) + milliseconds
        // A key of the app's choice may be no file name.
        let key = Hex.text(Data(correction.key.utf8))
        try Disk.replace(place.appendingPathComponent("\(name)-\(key.prefix(200)).json"), with: correction.body)
    }

    /// Every correction that waits, oldest first. A file that cannot be read yet (the phone is locked) waits on.
    func entries() -> [Entry] {
        Disk.files(in: place).compactMap { file in
            guard file.pathExtension == "json", let body = try? Data(contentsOf: file),
                let named = try? JSONDecoder().decode(Named.self, from: body)
            else { return nil }
            return Entry(file: file, key: named.key, body: body)
        }
    }

    /// The oldest corrections, as many as fit into a batch; at least one if any waits.
    func first(_ limits: LoopBatchLimits) -> [Entry] {
        var (chosen, bytes) = ([Entry](), 0)
        for entry in entries().prefix(limits.corrections) {
            bytes += entry.body.count + 1
            if !chosen.isEmpty, bytes > limits.bytes { break }
            chosen.append(entry)
        }
        return chosen
    }

    func remove(_ entry: Entry) { Disk.remove(entry.file) }

    /// A promise that cannot be read is none: then the server is asked once too early.
    func promise() -> Promise {
        guard let data = try? Data(contentsOf: promiseFile), let plain = try? Fields(Canonical.parse(data)) else {
            return Promise()
        }
        return Promise(erases: plain.values["erases"] == .flag(true), notBefore: try? plain.time("not_before"))
    }

    func remember(_ promise: Promise) throws {
        var fields: [String: Canonical] = ["erases": .flag(promise.erases)]
        fields["not_before"] = promise.notBefore.map { .text(DocumentTime.text($0.addingTimeInterval(0.999))) }
        try Disk.replace(promiseFile, with: Data(Canonical.object(fields).encoded.utf8))
    }

    private struct Named: Decodable { let key: String }
}
