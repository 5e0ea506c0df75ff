import Foundation

/// What the user says about one drawing, or that nobody said anything: the body of an upload (docs/api.md).
public struct LoopCorrection: Sendable, Equatable {
    /// The idempotency key: a retry with the same key is stored once.
    public let key: String
    let body: Data
    let list: List

    /// Where it is posted: `POST /v1/corrections` or `POST /v1/drawings`.
    enum List: String, Sendable {
        case corrections
        case drawings
    }

    /// The user wrote `label`, the model read another digit. Send one with the same pixels again when the user changes their
    /// mind: the later word counts.
    ///
    /// - Parameters:
    ///   - pixels: The 784 bytes that the model saw.
    ///   - confidence: The model's probability for `predicted`, 0 to 1.
    ///   - version: The version of the model, ``LoopHeld/version``; nil for a model that is not from the feed.
    ///   - at: When it was drawn, or labelled again.
    /// - Throws: ``LoopError``: `badImage`, `badField`.
    public static func correction(
        _ pixels: [UInt8], label: Int, predicted: Int, confidence: Double, version: Int?, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        guard label != predicted else {
            throw LoopError(.badField, "label: expected another digit than predicted, got \(label); this is a confirmation")
        }
        return try LoopCorrection(pixels, Said(label: label, kind: "correction", rate: 1), Read(predicted, confidence, version), at, key)
    }

    /// The model read `predicted`, and the user agreed.
    ///
    /// - Parameter rate: ``LoopPhone/confirmRate`` as it was when this confirmation was drawn with that probability. Before
    ///   the first feed there is none, and nothing to confirm.
    public static func confirmation(
        _ pixels: [UInt8], predicted: Int, confidence: Double, version: Int?, rate: Double, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        let said = Said(label: predicted, kind: "confirmation", rate: rate)
        return try LoopCorrection(pixels, said, Read(predicted, confidence, version), at, key)
    }

    /// The app asked ("a 1 or a 7?"), and the user answered `label`. Send it instead of the drawing.
    ///
    /// - Parameter rate: ``LoopConsidered/rate`` of the decision.
    public static func asked(
        _ pixels: [UInt8], label: Int, predicted: Int, confidence: Double, version: Int?, rate: Double, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        let said = Said(label: label, kind: "asked", rate: rate)
        return try LoopCorrection(pixels, said, Read(predicted, confidence, version), at, key)
    }

    /// Nobody said anything, and ``LoopPhone/consider(_:probabilities:)`` said `send`: a reviewer may label it.
    ///
    /// - Parameter rate: ``LoopConsidered/rate`` of the decision.
    public static func drawing(
        _ pixels: [UInt8], probabilities: [Double], version: Int?, rate: Double, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        let best = try LoopTwoBest(probabilities)
        let said = Said(rate: rate, runnerUp: best.second, runnerUpConfidence: best.secondShare)
        return try LoopCorrection(pixels, said, Read(best.digit, best.share, version), at, key, to: .drawings)
    }

    /// What the user drew has no label: it is no digit, or nobody can read it. Kept and counted, never taught.
    public static func unlabelled(
        _ pixels: [UInt8], _ reason: NoLabel, predicted: Int, confidence: Double, version: Int?, at: Date = Date(),
        key: String = UUID().uuidString
    ) throws -> LoopCorrection {
        let said = Said(kind: reason.rawValue, rate: 1)
        return try LoopCorrection(pixels, said, Read(predicted, confidence, version), at, key)
    }

    /// Why a drawing has no label.
    public enum NoLabel: String, Sendable {
        case notADigit = "not-a-digit"
        case unreadable
    }

    /// What was said; all nil but the rate for a drawing.
    private struct Said {
        var label: Int?
        var kind: String?
        let rate: Double
        var runnerUp: Int?
        var runnerUpConfidence: Double?
    }

    /// What the model read.
    private struct Read {
        let predicted: Int
        let confidence: Double
        let version: Int?

        /// Throws `badField`.
        init(_ predicted: Int, _ confidence: Double, _ version: Int?) throws {
            guard confidence >= 0, confidence <= 1 else {
                throw LoopError(.badField, "confidence: expected 0 to 1, got \(confidence)")
            }
            if let version, version < 1 { throw LoopError(.badField, "version: expected 1 or more, got \(version)") }
            (self.predicted, self.confidence, self.version) = (predicted, confidence, version)
        }
    }

    private init(
        _ pixels: [UInt8], _ said: Said, _ read: Read, _ at: Date, _ key: String, to list: List = .corrections
    ) throws {
        guard pixels.count == Picture.side * Picture.side else {
            throw LoopError(.badImage, "expected 784 pixels, got \(pixels.count)")
        }
        for digit in [said.label ?? read.predicted, read.predicted] where !(0...9).contains(digit) {
            throw LoopError(.badField, "label and predicted: expected 0 to 9, got \(digit)")
        }
        guard said.rate > 0, said.rate <= 1 else {
            throw LoopError(.badField, "rate: expected above 0 and at most 1, got \(said.rate)")
        }
        guard (1...200).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw LoopError(.badField, "key: expected 1 to 200 printable characters")
        }
        (self.key, self.list) = (key, list)
        body = try Self.encoded(
            Fields(
                key: key, image: PNG.encoded(pixels, side: Picture.side), label: said.label, kind: said.kind,
                predicted: read.predicted, confidence: read.confidence, version: read.version, runner_up: said.runnerUp,
                runner_up_confidence: said.runnerUpConfidence, rate: said.rate, captured_at: Self.captured(at)))
    }

    /// Named as in `loop/api/schemas.py`.
    private struct Fields: Encodable {
        let key: String, image: Data, label: Int?, kind: String?, predicted: Int, confidence: Double, version: Int?
        let runner_up: Int?, runner_up_confidence: Double?, rate: Double, captured_at: String
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
