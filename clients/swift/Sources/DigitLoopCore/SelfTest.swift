import Foundation

/// Golden vectors: pictures, and the answers of the model where it was judged (docs/feed.md). Unknown members are ignored.
struct Golden: Decodable {
    struct Vector: Decodable {
        let label: Int
        /// 784 bytes in base64, with padding.
        let pixels: String
        let probabilities: [Double]
    }

    let format: Int
    let model: String
    let tolerance: Double
    let vectors: [Vector]
}

/// The checks of a downloaded model (`loop/feed/checks.py`), in their order.
struct SelfTest {
    let channel: String
    let release: LoopRelease
    let cryptography: any LoopCryptography

    /// The files have the digests that the feed names, and the golden vectors are not nested deeply.
    func check(model: Data, golden: Data) throws {
        for (name, data, expected) in [("model", model, release.digest), ("golden vectors", golden, release.goldenDigest)] {
            let digest = cryptography.digest(data)
            guard digest == expected else {
                throw LoopError(.wrongDigest, "\(name): expected \(expected.prefix(12))…, got \(digest.prefix(12))…")
            }
        }
        try Canonical.requireShallow(golden)
    }

    /// The metadata names the channel's family and the release's version, and the model answers as it did.
    func check(_ model: any LoopModel, golden: Data) async throws {
        let family = channel.split(separator: ".").first.map(String.init) ?? channel
        let got = (model.metadata["loop.family"] ?? "none", model.metadata["loop.version"] ?? "none")
        guard got == (family, String(release.version)) else {
            throw LoopError(
                .wrongModel,
                "model: expected family \(family), version \(release.version); got \(got.0.prefix(20)), \(got.1.prefix(20))")
        }
        try await reproduces(model, golden)
    }

    /// The model gives the answers of the golden vectors. Throws `selfTestFailed`.
    func reproduces(_ model: any LoopModel, _ golden: Data) async throws {
        let document = try read(golden)
        for (index, vector) in document.vectors.enumerated() {
            try await check(model, vector, index, document.tolerance)
        }
    }

    private func read(_ golden: Data) throws -> Golden {
        // Decoders differ in what they take for JSON: without a byte order mark, and in UTF-8 only.
        guard !golden.starts(with: [0xef, 0xbb, 0xbf]), String(data: golden, encoding: .utf8) != nil,
            let document = try? JSONDecoder().decode(Golden.self, from: golden), document.format == Limits.format,
            document.tolerance.isFinite, document.tolerance >= 0
        else { throw LoopError(.selfTestFailed, "the golden vectors cannot be read") }
        guard document.model == release.digest, !document.vectors.isEmpty else {
            throw LoopError(.selfTestFailed, "the golden vectors are empty, or of another model")
        }
        return document
    }

    private func check(_ model: any LoopModel, _ vector: Golden.Vector, _ index: Int, _ tolerance: Double) async throws {
        guard let pixels = Data(base64Encoded: vector.pixels), pixels.count == Picture.side * Picture.side,
            pixels.base64EncodedString() == vector.pixels, vector.probabilities.count == 10,
            vector.probabilities.allSatisfy(\.isFinite)
        else { throw LoopError(.selfTestFailed, "vector \(index): expected 784 pixels in base64 and 10 probabilities") }
        let found: [Double]
        do { found = try await model.probabilities([UInt8](pixels)) } catch {
            throw LoopError(.selfTestFailed, "vector \(index): the model gives no answer (\(error))")
        }
        let label = found.indices.max { found[$0] < found[$1] }
        guard found.count == 10, label == vector.label else {
            throw LoopError(.selfTestFailed, "vector \(index): expected label \(vector.label), got \(label ?? -1)")
        }
        // Every distance is compared on its own: NaN is within no tolerance, but `max` of a list may pass over it.
        guard zip(found, vector.probabilities).allSatisfy({ abs($0 - $1) <= tolerance }) else {
            throw LoopError(.selfTestFailed, "vector \(index): a probability is off by more than \(tolerance)")
        }
    }
}
