import Foundation

/// What the outbox has promised: to erase, and to wait.
struct Promise: Sendable, Equatable {
    static let longestSeconds = 86_400
    /// The stamp until which everything is to be erased, milliseconds since 1970.
    var erases: Int?
    var notBefore: Date?
}

/// The outbox's files. A *mark* is what a key is called in names: 40 hex digits of its SHA-256.
///
///     waiting/STAMP-LIST-MARK.json   an upload each, named by when it was added, so the oldest is sent first
///     undo/MARK                      it is to be taken back; the file has its key
///     tried.json                     marks that may be on the server, although no answer arrived
///     sent.json                      the server's numbers of the last ones accepted, so that they can be taken back
///     promise.json                   an erasure that is due, and when the server wants the next upload
struct OutboxFolder: Sendable {
    let folder: URL
    let cryptography: any LoopCryptography

    struct Entry: Sendable {
        let file: URL
        let stamp: Int
        let list: LoopCorrection.List
        let mark: String
        let key: String
        let body: Data
    }

    /// A name in `waiting`; its file may not be readable yet.
    struct Name: Sendable {
        let file: URL
        let stamp: Int
        let list: LoopCorrection.List
        let mark: String

        fileprivate init?(_ file: URL) {
            let parts = file.deletingPathExtension().lastPathComponent.split(separator: "-").map(String.init)
            guard file.pathExtension == "json", parts.count == 3, let stamp = Int(parts[0]),
                let list = LoopCorrection.List(rawValue: parts[1])
            else { return nil }
            (self.file, self.stamp, self.list, self.mark) = (file, stamp, list, parts[2])
        }
    }

    struct Sent: Sendable, Equatable {
        let stamp: Int
        let mark: String
        let id: Int
    }

    private static let sentKept = 200

    private var waiting: URL { folder.appendingPathComponent("waiting") }
    private func undo(_ mark: String) -> URL { folder.appendingPathComponent("undo/\(mark)") }
    private func mark(_ key: String) -> String { String(cryptography.digest(Data(key.utf8)).prefix(40)) }

    /// Keeps an upload with a stamp later than `last`; returns its stamp.
    func add(_ correction: LoopCorrection, at now: Date, after last: Int) throws -> Int {
        // Also later than an erasure that is due, or a clock that was set back would have it erased.
        let stamp = max(Self.milliseconds(now), last + 1, (promise().erases ?? 0) + 1)
        let digits = String(stamp)
        let sorted = String(repeating: "0", count: max(0, 15 - digits.count)) + digits
        let name = "\(sorted)-\(correction.list.rawValue)-\(mark(correction.key)).json"
        try Disk.replace(waiting.appendingPathComponent(name), with: correction.body)
        return stamp
    }

    /// The names of all that wait, oldest first.
    func names() -> [Name] { Disk.files(in: waiting).compactMap(Name.init) }

    /// The oldest of one list, as many as fit into a batch; at least one if any waits. A file that cannot be read yet (the
    /// phone is locked) waits on.
    func first(_ limits: LoopBatchLimits) -> [Entry] {
        var (chosen, bytes) = ([Entry](), 0)
        for name in names() where chosen.count < limits.corrections {
            guard let body = try? Data(contentsOf: name.file), let named = try? JSONDecoder().decode(Named.self, from: body)
            else { continue }
            bytes += body.count + 1
            if let list = chosen.first?.list, list != name.list || bytes > limits.bytes { break }
            chosen.append(
                Entry(file: name.file, stamp: name.stamp, list: name.list, mark: name.mark, key: named.key, body: body))
        }
        return chosen
    }

    /// Notes that these may be on the server from now on.
    func trying(_ entries: [Entry]) throws {
        let (known, fresh) = (tried(), Set(entries.map(\.mark)))
        guard !fresh.isSubset(of: known) else { return }
        let kept = known.intersection(names().map(\.mark)).union(fresh)
        try write(["tried": .array(kept.sorted().map(Canonical.text))], "tried.json")
    }

    /// Removes uploads that have their answer; `accepted` have the server's numbers.
    func settle(_ entries: [Entry], accepted: [Sent]) throws {
        if !accepted.isEmpty {
            let marks = Set(accepted.map(\.mark))
            try save(sent().filter { !marks.contains($0.mark) } + accepted)
        }
        entries.map(\.file).forEach(Disk.remove)
    }

    /// Promises to take an upload back.
    func undo(key: String) throws { try Disk.replace(undo(mark(key)), with: Data(key.utf8)) }

    /// Drops what is to be taken back and was never sent.
    func dropUnsent() {
        let tried = tried()
        for name in names() where !tried.contains(name.mark) {
            guard FileManager.default.fileExists(atPath: undo(name.mark).path) else { continue }
            Disk.remove(name.file)
            Disk.remove(undo(name.mark))
        }
        for place in [folder, waiting, folder.appendingPathComponent("undo")] { Disk.removeAbandoned(in: place) }
    }

    /// What is to be taken back and no longer waits; `id` nil where the server has none.
    func undone() -> [(key: String, mark: String, id: Int?)] {
        let waiting = Set(names().map(\.mark))
        let sent = Dictionary(sent().map { ($0.mark, $0.id) }, uniquingKeysWith: { $1 })
        return Disk.files(in: folder.appendingPathComponent("undo")).compactMap { file in
            let mark = file.lastPathComponent
            guard Hex.isText(mark, count: 40), !waiting.contains(mark), let key = try? Data(contentsOf: file) else { return nil }
            return (String(decoding: key, as: UTF8.self), mark, sent[mark])
        }
    }

    /// It is taken back.
    func forget(_ mark: String) { Disk.remove(undo(mark)) }

    /// Removes all that was added until then.
    func empty(until: Int) throws {
        let (old, kept) = (names().filter { $0.stamp <= until }, sent().filter { $0.stamp > until })
        let marks = old.map(\.mark) + sent().filter { $0.stamp <= until }.map(\.mark)
        old.map(\.file).forEach(Disk.remove)
        marks.map(undo).forEach(Disk.remove)
        if kept != sent() { try save(kept) }
    }

    /// When the last one was added, or now: what is added later is not erased.
    func latest(_ now: Date) -> Int { max(Self.milliseconds(now), names().last?.stamp ?? 0) }

    private static func milliseconds(_ time: Date) -> Int { max(0, Int(time.timeIntervalSince1970 * 1000)) }

    private struct Named: Decodable { let key: String }
}

// MARK: Small files

extension OutboxFolder {
    /// A promise that cannot be read is none: then the server is asked once too early.
    func promise() -> Promise {
        guard let plain = read("promise.json") else { return Promise() }
        return Promise(
            erases: try? plain.number("erases", 1...Canonical.maxInteger), notBefore: try? plain.time("not_before"))
    }

    func remember(_ promise: Promise) throws {
        var fields = [String: Canonical]()
        fields["erases"] = promise.erases.map(Canonical.number)
        fields["not_before"] = promise.notBefore.map { .text(DocumentTime.text($0.addingTimeInterval(0.999))) }
        try write(fields, "promise.json")
    }

    private func tried() -> Set<String> {
        guard case .array(let listed)? = read("tried.json")?.values["tried"] else { return [] }
        return Set(listed.compactMap { if case .text(let mark) = $0 { mark } else { nil } })
    }

    private func sent() -> [Sent] {
        guard case .array(let listed)? = read("sent.json")?.values["sent"] else { return [] }
        return listed.compactMap { each in
            guard let plain = try? Fields("sent", each), let stamp = try? plain.number("stamp", 0...Canonical.maxInteger),
                let id = try? plain.number("id", 0...Canonical.maxInteger),
                let mark = try? plain.text("mark", "a mark", { Hex.isText($0, count: 40) })
            else { return nil }
            return Sent(stamp: stamp, mark: mark, id: id)
        }
    }

    private func save(_ sent: [Sent]) throws {
        let plain = sent.suffix(Self.sentKept).map {
            Canonical.object(["id": .number($0.id), "mark": .text($0.mark), "stamp": .number($0.stamp)])
        }
        try write(["sent": .array(plain)], "sent.json")
    }

    private func read(_ name: String) -> Fields? {
        (try? Data(contentsOf: folder.appendingPathComponent(name))).flatMap { try? Fields(Canonical.parse($0)) }
    }

    private func write(_ fields: [String: Canonical], _ name: String) throws {
        try Disk.replace(folder.appendingPathComponent(name), with: Data(Canonical.object(fields).encoded.utf8))
    }
}
