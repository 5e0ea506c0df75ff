import DigitLoopCore
import Foundation

/// A clock that a command sets; the real one until then.
final class SetClock: LoopClock, @unchecked Sendable {
    // @unchecked Sendable: `time` is only touched under `lock`.
    private let lock = NSLock()
    private var time: Date?

    func now() -> Date { lock.withLock { time } ?? Date() }
    func uptime() -> TimeInterval { ProcessInfo.processInfo.systemUptime }
    func set(_ now: Date?) { lock.withLock { time = now } }
}

/// The secret in a file, where a real phone has a keychain.
struct SecretFile: LoopSecretKeeping {
    let file: URL

    func secret() throws -> String {
        if let kept = try? Data(contentsOf: file) { return String(decoding: kept, as: UTF8.self) }
        var random = SystemRandomNumberGenerator()
        let bytes = Data((0..<32).map { _ in UInt8.random(in: 0...255, using: &random) })
        let made = bytes.base64EncodedString().replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
        do { try Data(made.utf8).write(to: file, options: .atomic) } catch {
            throw LoopError(.noSecret, "\(file.path): cannot write the secret (\(error))")
        }
        return made
    }

    func forget() throws { try? FileManager.default.removeItem(at: file) }
}

/// Models that `models.coreml` runs in another process (tests/clients/model_helper.py), where a real phone has Core ML.
struct HelperLoader: LoopModelLoading {
    let helper: URL
    private let http = LoopURLSession()

    init(helper: URL) { self.helper = helper }

    struct Model: LoopModel {
        let name: String
        let metadata: [String: String]
        let loader: HelperLoader

        func probabilities(_ pixels: [UInt8]) async throws -> [Double] {
            try await loader.ask(["model": name, "pixels": Data(pixels).base64EncodedString()])
        }
    }

    private struct Loaded: Decodable { let model: String, metadata: [String: String] }

    func load(_ file: URL) async throws -> any LoopModel {
        let loaded: Loaded = try await ask(["file": file.path])
        return Model(name: loaded.model, metadata: loaded.metadata, loader: self)
    }

    func tidy(keeping _: Set<String>) {}

    private func ask<T: Decodable>(_ question: [String: String]) async throws -> T {
        let request = LoopRequest("POST", helper, body: try JSONEncoder().encode(question))
        let response = try await http.send(request)
        var answer = Data()
        for try await piece in response.body { answer += piece }
        guard response.status == 200 else { throw LoopError(.doesNotLoad, String(decoding: answer, as: UTF8.self)) }
        return try JSONDecoder().decode(T.self, from: answer)
    }
}
