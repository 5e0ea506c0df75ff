import Foundation

/// A drawing that the installed model has read: everything that an upload about it states.
public struct LoopReading: Sendable, Equatable {
    /// The 784 bytes that the model saw.
    public let pixels: [UInt8]
    /// Ten, one for each digit.
    public let probabilities: [Double]
    public let best: LoopTwoBest
    /// The version of the model.
    public let version: Int
}

extension LoopPhone {
    /// Reads a drawing with the installed model; nil if none may run: then use the model in the app.
    ///
    ///     guard let reading = try await phone.read(LoopDrawing(strokes: strokes, penWidth: 12)) else { … }
    ///
    /// - Throws: ``LoopError``: `badImage` without ink, `doesNotLoad`, `badField` for probabilities that are none; or what the
    ///   model throws.
    public func read(_ drawing: LoopDrawing) async throws -> LoopReading? { try await read(drawing.picture()) }

    /// The same for a picture of any size and polarity.
    public func read(_ picture: LoopPicture) async throws -> LoopReading? {
        guard let loaded = try await model() else { return nil }
        let pixels = try picture.normalised()
        let probabilities = try await loaded.model.probabilities(pixels)
        return LoopReading(
            pixels: pixels, probabilities: probabilities, best: try LoopTwoBest(probabilities), version: loaded.held.version)
    }

    /// Decides about a reading that nobody corrected, as ``consider(_:probabilities:)`` does.
    public func consider(_ reading: LoopReading) throws -> LoopConsidered {
        try consider(reading.pixels, probabilities: reading.probabilities)
    }
}

extension LoopCorrection {
    /// What the user says about a reading: a correction, or, of right answers, a confirmation by lot. Nil: go on with
    /// ``LoopPhone/consider(_:)`` and ``left(_:_:answer:at:key:)``, as if the user had said nothing.
    ///
    /// - Parameter confirmRate: ``LoopPhone/confirmRate``.
    /// - Throws: ``LoopError``: `badField` for a label that is no digit.
    public static func said(
        _ label: Int, about reading: LoopReading, confirmRate: Double?, at: Date = Date(), key: String = UUID().uuidString
    ) throws -> LoopCorrection? {
        let best = reading.best
        if label != best.digit {
            return try .correction(
                reading.pixels, label: label, predicted: best.digit, confidence: best.share, version: reading.version, at: at,
                key: key)
        }
        guard let confirmRate, Double.random(in: 0..<1) < confirmRate else { return nil }
        return try .confirmation(
            reading.pixels, predicted: label, confidence: best.share, version: reading.version, rate: confirmRate, at: at,
            key: key)
    }

    /// What to send of a reading that nobody corrected; nil: nothing.
    ///
    /// - Parameters:
    ///   - found: What ``LoopPhone/consider(_:)`` decided about it.
    ///   - answer: The digit that the user answered when the app asked, or had said before; nil if ``LoopConsidered/askNow`` is
    ///     false, or there was no answer.
    public static func left(
        _ reading: LoopReading, _ found: LoopConsidered, answer: Int? = nil, at: Date = Date(), key: String = UUID().uuidString
    ) throws -> LoopCorrection? {
        guard found.send else { return nil }
        guard let answer else {
            return try .drawing(
                reading.pixels, probabilities: reading.probabilities, version: reading.version, rate: found.rate, at: at, key: key)
        }
        return try .asked(
            reading.pixels, label: answer, predicted: reading.best.digit, confidence: reading.best.share,
            version: reading.version, rate: found.rate, at: at, key: key)
    }
}
