import Foundation

/// Canonical JSON (`loop/feed/canonical.py`): objects with sorted and unique keys, arrays, strings of printable ASCII without
/// `"` and `\`, integers from 0 to 2⁵³ - 1, `true`, `false`; no white space, at most eight levels. Each value has one encoding.
enum Canonical: Equatable, Sendable {
    case object([String: Canonical])
    case array([Canonical])
    case text(String)
    case number(Int)
    case flag(Bool)

    static let maxDepth = 8
    static let maxInteger = 1 << 53 - 1

    /// The object in `data`. Throws ``LoopError/Rule/notCanonical`` for any other bytes.
    static func parse(_ data: Data) throws -> [String: Canonical] {
        try requireShallow(data)
        var reader = Reader(bytes: [UInt8](data))
        guard case .object(let object) = try reader.value(level: 1) else { throw reader.refused("an object") }
        guard reader.position == reader.bytes.count else { throw reader.refused("the end") }
        return object
    }

    /// Refuses deep nesting before a parser recurses into it. Brackets inside strings count too.
    static func requireShallow(_ data: Data, depth: Int = maxDepth) throws {
        var level = 0
        for byte in data {
            if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") { level += 1 }
            if byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") { level -= 1 }
            if level > depth { throw LoopError(.notCanonical, "expected at most \(depth) levels, got more") }
        }
    }

    /// The one encoding of a value whose strings and numbers are canonical.
    var encoded: String {
        switch self {
        case .object(let fields):
            let sorted = fields.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            return "{" + sorted.map { "\"\($0.key)\":\($0.value.encoded)" }.joined(separator: ",") + "}"
        case .array(let values): return "[" + values.map(\.encoded).joined(separator: ",") + "]"
        case .text(let text): return "\"\(text)\""
        case .number(let number): return String(number)
        case .flag(let flag): return flag ? "true" : "false"
        }
    }
}

/// Accepts canonical JSON and nothing else, so nothing has to be encoded again to compare.
private struct Reader {
    let bytes: [UInt8]
    var position = 0

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    func refused(_ expected: String) -> LoopError {
        LoopError(.notCanonical, "expected \(expected) of canonical JSON at byte \(position), got something else")
    }

    mutating func value(level: Int) throws -> Canonical {
        guard level <= Canonical.maxDepth else { throw refused("at most \(Canonical.maxDepth) levels") }
        switch next {
        case UInt8(ascii: "{"): return .object(try object(level: level))
        case UInt8(ascii: "["): return .array(try array(level: level))
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t"): return try literal("true", .flag(true))
        case UInt8(ascii: "f"): return try literal("false", .flag(false))
        default: return .number(try number())
        }
    }

    private mutating func take(_ text: StaticString) -> Bool {
        let end = position + text.utf8CodeUnitCount
        guard end <= bytes.count,
            bytes[position..<end].elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        else { return false }
        position = end
        return true
    }

    private mutating func literal(_ text: StaticString, _ value: Canonical) throws -> Canonical {
        guard take(text) else { throw refused("\(text)") }
        return value
    }

    private mutating func object(level: Int) throws -> [String: Canonical] {
        var (found, last) = ([String: Canonical](), [UInt8]?.none)
        guard take("{") else { throw refused("{") }
        if take("}") { return found }
        guard level < Canonical.maxDepth else { throw refused("at most \(Canonical.maxDepth) levels") }
        repeat {
            let key = try text(), bytes = Array(key.utf8)
            if let last, !last.lexicographicallyPrecedes(bytes) { throw refused("sorted and unique keys") }
            guard take(":") else { throw refused(":") }
            found[key] = try value(level: level + 1)
            last = bytes
        } while take(",")
        guard take("}") else { throw refused("}") }
        return found
    }

    private mutating func array(level: Int) throws -> [Canonical] {
        guard take("[") else { throw refused("[") }
        if take("]") { return [] }
        var found = [Canonical]()
        repeat { found.append(try value(level: level + 1)) } while take(",")
        guard take("]") else { throw refused("]") }
        return found
    }

    private mutating func text() throws -> String {
        guard take("\"") else { throw refused("a string") }
        let start = position
        while let byte = next, (0x20...0x7e).contains(byte), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
            position += 1
        }
        let content = bytes[start..<position]
        guard take("\"") else { throw refused("printable ASCII without quotes or backslashes") }
        return String(decoding: content, as: UTF8.self)
    }

    private mutating func number() throws -> Int {
        let start = position
        while let byte = next, (48...57).contains(byte), position - start <= 16 { position += 1 }
        let digits = bytes[start..<position]
        let value = digits.reduce(0) { $0 * 10 + Int($1) - 48 }
        guard !digits.isEmpty, digits.count <= 16, value <= Canonical.maxInteger, digits.count == 1 || digits.first != 48 else {
            throw refused("an integer from 0 to 2^53 - 1")
        }
        return value
    }
}
