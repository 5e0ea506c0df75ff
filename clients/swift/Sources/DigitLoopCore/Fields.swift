import Foundation

/// The fields of an object, read with their type and range. Every method throws `badDocument`.
struct Fields {
    let values: [String: Canonical]

    init(_ values: [String: Canonical]) { self.values = values }

    init(_ name: String, _ value: Canonical) throws {
        guard case .object(let values) = value else { throw bad(name, "an object") }
        self.values = values
    }

    /// The object of a document. Throws `unknownFormat` for another type or format.
    static func open(_ data: Data, type: String) throws -> Fields {
        let values = try Canonical.parse(data)
        guard values["type"] == .text(type), values["format"] == .number(Limits.format) else {
            throw LoopError(.unknownFormat, "expected a \(type) of format \(Limits.format), got another document")
        }
        return Fields(values)
    }

    func exactly(_ names: String...) throws {
        guard Set(values.keys) == Set(names) else {
            let got = values.keys.sorted().joined(separator: ", ")
            throw LoopError(.badDocument, "expected the fields \(names.joined(separator: ", ")); got \(got.prefix(200))")
        }
    }

    func number(_ field: String, _ range: ClosedRange<Int>) throws -> Int {
        guard case .number(let value)? = values[field], range.contains(value) else {
            throw bad(field, "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func flag(_ field: String) throws -> Bool {
        guard case .flag(let value)? = values[field] else { throw bad(field, "true or false") }
        return value
    }

    /// A number of a million, as documents have shares.
    func share(_ field: String) throws -> Int { try number(field, 0...Limits.million) }

    /// A role's threshold: at least 1, at most the number of its keys.
    func threshold(of keys: Int) throws -> Int {
        guard keys > 0 else { throw bad("keys", "at least one key") }
        return try number("threshold", 1...keys)
    }

    func text(_ field: String, _ expected: String, _ matches: (String) -> Bool) throws -> String {
        guard case .text(let value)? = values[field], matches(value) else { throw bad(field, expected) }
        return value
    }

    func digest(_ field: String) throws -> String {
        try text(field, "64 hex digits") { Hex.isText($0, count: 64) }
    }

    func time(_ field: String) throws -> Date {
        guard case .text(let value)? = values[field], let time = DocumentTime.parse(value) else {
            throw bad(field, "a time like 2026-05-03T03:00:00Z")
        }
        return time
    }

    func object(_ field: String, most: Int, key: (String) -> Bool = { !$0.isEmpty }) throws -> Fields {
        guard case .object(let value)? = values[field], value.count <= most, value.keys.allSatisfy(key) else {
            throw bad(field, "an object of at most \(most) known keys")
        }
        return Fields(value)
    }

    func digests(_ field: String, most: Int) throws -> [String] {
        guard case .array(let listed)? = values[field], listed.count <= most else {
            throw bad(field, "at most \(most) digests")
        }
        let found = listed.compactMap { if case .text(let text) = $0, Hex.isText(text, count: 64) { text } else { nil } }
        guard found.count == listed.count, found == Set(found).sorted() else {
            throw bad(field, "SHA-256 digests, sorted, each once")
        }
        return found
    }
}

func bad(_ field: String, _ expected: String) -> LoopError {
    LoopError(.badDocument, "\(field.prefix(80)): expected \(expected), got something else")
}
