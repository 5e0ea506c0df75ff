import Foundation

/// What the user says about one drawing: the body of `POST /v1/corrections`.
public struct LoopCorrection: Sendable, Equatable {
    /// The idempotency key: a retry with the same key is stored once.
    public let key: String
    let body: Data

    /// The user wrote `label`, the model read another digit.
    ///
    /// - Parameters:
    ///   - pixels: The 784 bytes that the model saw.
    ///   - confidence: The model's probability for `predicted`, 0 to 1.
    ///   - version: The version of the model, ``LoopHeld/version``.
    /// - Throws: ``LoopError``: `badImage`, `badField`.
    public static func correction(
        _ pixels: [UInt8], label: Int, predicted: Int, confidence: Double, version: Int, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        guard label != predicted else {
            throw LoopError(.badField, "label: expected another digit than predicted, got \(label); this is a confirmation")
        }
        return try LoopCorrection(pixels, label, predicted, confidence, version, "correction", 1, at, key)
    }

    /// The model read `predicted`, and the user agreed.
    ///
    /// - Parameter rate: ``LoopPhone/confirmRate`` as it was when this confirmation was drawn with that probability. Before
    ///   the first feed there is none, and nothing to confirm.
    public static func confirmation(
        _ pixels: [UInt8], predicted: Int, confidence: Double, version: Int, rate: Double, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        try LoopCorrection(pixels, predicted, predicted, confidence, version, "confirmation", rate, at, key)
    }

    /// What the user drew has no label: it is no digit, or nobody can read it. Kept and counted, never taught.
    public static func unlabelled(
        _ pixels: [UInt8], _ reason: NoLabel, predicted: Int, confidence: Double, version: Int, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        try LoopCorrection(pixels, nil, predicted, confidence, version, reason.rawValue, 1, at, key)
    }

    /// Why a drawing has no label.
    public enum NoLabel: String, Sendable {
        case notADigit = "not-a-digit"
        case unreadable
    }

    private init(
        _ pixels: [UInt8], _ label: Int?, _ predicted: Int, _ confidence: Double, _ version: Int, _ kind: String,
        _ rate: Double, _ at: Date, _ key: String
    ) throws {
        guard pixels.count == Picture.side * Picture.side else {
            throw LoopError(.badImage, "expected 784 pixels, got \(pixels.count)")
        }
        for digit in [label ?? predicted, predicted] where !(0...9).contains(digit) {
            throw LoopError(.badField, "label and predicted: expected 0 to 9, got \(digit)")
        }
        guard rate > 0, rate <= 1 else { throw LoopError(.badField, "rate: expected above 0 and at most 1, got \(rate)") }
        guard confidence >= 0, confidence <= 1 else {
            throw LoopError(.badField, "confidence: expected 0 to 1, got \(confidence)")
        }
        guard version >= 1 else { throw LoopError(.badField, "version: expected 1 or more, got \(version)") }
        guard (1...200).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw LoopError(.badField, "key: expected 1 to 200 printable characters")
        }
        self.key = key
        body = try Self.encoded(
            Fields(
                key: key, image: PNG.encoded(pixels, side: Picture.side), label: label, kind: kind, predicted: predicted,
                confidence: confidence, version: version, rate: rate, captured_at: Self.captured(at)))
    }

    /// Named as in `loop/api/schemas.py`.
    private struct Fields: Encodable {
        let key: String, image: Data, label: Int?, kind: String, predicted: Int
        let confidence: Double, version: Int, rate: Double, captured_at: String
    }

    /// With milliseconds: of two words about one image, the one captured later counts.
    private static func captured(_ at: Date) -> String {
        let milliseconds = Int((at.timeIntervalSince1970 * 1000).rounded(.down))
        let second = Date(timeIntervalSince1970: (Double(milliseconds) / 1000).rounded(.down))
        let rest = String(milliseconds - Int(second.timeIntervalSince1970) * 1000)
        return DocumentTime.text(second).dropLast() + "." + String(repeating: "0", count: 3 - rest.count) + rest + "Z"
    }

    private static func encoded(_ fields: Fields) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        do { return try encoder.encode(fields) } catch { throw LoopError(.badField, "it has no JSON form (\(error))") }
    }
}
