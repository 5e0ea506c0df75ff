import Foundation

/// A signed document, `{"signatures":[{"key":…,"signature":…}],"signed":…}` (`loop/feed/envelope.py`).
///
/// The signed bytes are cut out as received, so a signature is checked before any of them is parsed. This works because
/// strings contain no quotes, so the first `,"signed":` is the separator.
struct Envelope {
    let body: Data
    /// Key ids to signatures of 64 bytes, not yet verified.
    let signatures: [String: Data]

    private static let head = Data(#"{"signatures":"#.utf8), middle = Data(#","signed":"#.utf8), tail = UInt8(ascii: "}")

    /// Splits an envelope without parsing its body. Throws `tooLong`, `notCanonical`, `badDocument`.
    init(_ data: Data) throws {
        guard data.count <= Limits.document else {
            throw LoopError(.tooLong, "expected at most \(Limits.document) bytes of a signed document, got \(data.count)")
        }
        guard let cut = data.range(of: Self.middle), data.starts(with: Self.head), data[cut.upperBound...].last == Self.tail
        else { throw LoopError(.notCanonical, #"expected {"signatures":…,"signed":…}, got other bytes"#) }
        let listed = try Canonical.parse(data[..<cut.lowerBound] + [Self.tail])["signatures"]
        guard case .array(let values)? = listed, (1...Limits.keys).contains(values.count) else {
            throw LoopError(.badDocument, "signatures: expected 1 to \(Limits.keys), got another number")
        }
        let pairs = try values.map(Self.pair)
        let names = pairs.map(\.key)
        guard names == Set(names).sorted() else {
            throw LoopError(.badDocument, "signatures: expected keys sorted and each key once, got another order")
        }
        body = Data(data[cut.upperBound...].dropLast())
        signatures = Dictionary(uniqueKeysWithValues: pairs.map { ($0.key, $0.signature) })
    }

    /// The number of the keys (ids to public keys in hex) with a valid signature; signatures of other keys do not count.
    func signers(_ keys: [String: String], _ cryptography: any LoopCryptography) -> Int {
        signatures.filter { id, signature in
            keys[id].map { cryptography.isValid(signature, of: body, by: Hex.bytes($0)) } ?? false
        }.count
    }

    private static func pair(_ value: Canonical) throws -> (key: String, signature: Data) {
        let plain = try Fields("signatures", value)
        try plain.exactly("key", "signature")
        let signature = try plain.text("signature", "128 hex digits") { Hex.isText($0, count: 128) }
        return (try plain.digest("key"), Hex.bytes(signature))
    }
}
