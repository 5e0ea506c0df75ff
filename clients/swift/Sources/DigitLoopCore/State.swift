import Foundation

/// An installed model.
public struct LoopHeld: Sendable, Equatable {
    public let version: Int
    /// SHA-256 of the `.mlmodel` and of its golden vectors.
    public let digest: String
    public let goldenDigest: String
}

/// Everything in `state.json`. Replacing that file switches models: after a kill at any point, it names models that are
/// complete.
struct State: Sendable, Equatable {
    var trusted: Trusted
    /// A random id of this install, never sent.
    let device: String
    let channel: String
    var current: LoopHeld?
    var previous: LoopHeld?
    /// The last trusted feed's probability, in a million, with which a right answer is confirmed.
    var confirmPPM: Int?
    var asking: HeldAsking?
}

/// The last asking policy, and until when it is valid.
struct HeldAsking: Sendable, Equatable {
    let seen: SeenAsking
    let expires: Date
    let policy: LoopAskingPolicy
}

/// A device's folder.
///
///     state.json                  trusted root, last sequences, device id, channel, current and previous model, policy
///     models/DIGEST.mlmodel       installed models; verified before they get this name
///     golden/DIGEST.json
///     partial/DIGEST.part         a download that the next sync resumes
///     decided.json                ``Memory``
struct DeviceFolder: Sendable {
    let folder: URL

    func model(_ digest: String) -> URL { folder.appendingPathComponent("models/\(digest).mlmodel") }
    func golden(_ digest: String) -> URL { folder.appendingPathComponent("golden/\(digest).json") }
    func partial(_ digest: String) -> URL { folder.appendingPathComponent("partial/\(digest).part") }
    private var file: URL { folder.appendingPathComponent("state.json") }

    /// The state, or nil if none was written yet. Throws `stateUnreadable`; the device does not guess its state.
    func load(_ trust: Trust) throws -> State? {
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        do {
            return try State(Fields(Canonical.parse(Data(contentsOf: file))), trust)
        } catch {
            throw LoopError(.stateUnreadable, "\(file.path): damaged (\(error)); remove the folder and sync again")
        }
    }

    /// Replaces the state. Throws `diskFull`; then the old state remains.
    func save(_ state: State) throws {
        try Disk.replace(file, with: Data(state.plain.encoded.utf8))
    }

    /// Whether the model's file exists with the verified bytes.
    func isSound(_ held: LoopHeld, _ cryptography: any LoopCryptography) -> Bool {
        guard let data = try? Data(contentsOf: model(held.digest)) else { return false }
        return cryptography.digest(data) == held.digest
    }

    /// Removes every model, golden file and partial download that the state does not name.
    func tidy(_ state: State) {
        let installed = [state.current, state.previous].compactMap { $0 }
        let kept = Set(installed.flatMap { [model($0.digest).path, golden($0.goldenDigest).path] })
        for kind in ["models", "golden", "partial"] {
            for url in Disk.files(in: folder.appendingPathComponent(kind)) where !kept.contains(url.path) {
                Disk.remove(url)
            }
        }
        Disk.removeAbandoned(in: folder)
    }
}

extension State {
    private static let format = 1

    fileprivate init(_ plain: Fields, _ trust: Trust) throws {
        guard plain.values["format"] == .number(Self.format), let root = plain.values["root"] else {
            throw LoopError(.stateUnreadable, "expected format \(Self.format), got another")
        }
        var trusted = try trust.begin(Data(root.encoded.utf8))
        trusted.sequence = try plain.number("sequence", 0...Canonical.maxInteger)
        trusted.feedDigest = try plain.values["feed_digest"].map { _ in try plain.digest("feed_digest") }
        trusted.issued = try plain.values["issued"].map { _ in try plain.time("issued") }
        self.init(
            trusted: trusted,
            device: try plain.text("device", "a name") { !$0.isEmpty },
            channel: try plain.text("channel", "a name") { !$0.isEmpty },
            current: try plain.values["current"].map(LoopHeld.init),
            previous: try plain.values["previous"].map(LoopHeld.init),
            confirmPPM: try plain.values["confirm_ppm"].map { _ in try plain.share("confirm_ppm") },
            asking: try plain.values["asking"].map(HeldAsking.init))
    }

    fileprivate var plain: Canonical {
        get throws {
            var fields: [String: Canonical] = [
                "channel": .text(channel), "device": .text(device), "format": .number(Self.format),
                "root": .object(try Canonical.parse(trusted.rootData)), "sequence": .number(trusted.sequence),
            ]
            fields["feed_digest"] = trusted.feedDigest.map(Canonical.text)
            fields["issued"] = trusted.issued.map { .text(DocumentTime.text($0)) }
            fields["confirm_ppm"] = confirmPPM.map(Canonical.number)
            fields["current"] = current?.plain
            fields["previous"] = previous?.plain
            fields["asking"] = asking?.plain
            return .object(fields)
        }
    }
}

extension LoopHeld {
    fileprivate init(_ value: Canonical) throws {
        let plain = try Fields("model", value)
        self.init(
            version: try plain.number("version", 1...Canonical.maxInteger), digest: try plain.digest("digest"),
            goldenDigest: try plain.digest("golden_digest"))
    }

    fileprivate var plain: Canonical {
        .object(["digest": .text(digest), "golden_digest": .text(goldenDigest), "version": .number(version)])
    }
}

extension HeldAsking {
    fileprivate init(_ value: Canonical) throws {
        let plain = try Fields("asking", value)
        self.init(
            seen: SeenAsking(
                epoch: try plain.number("epoch", 1...Canonical.maxInteger),
                sequence: try plain.number("sequence", 1...Canonical.maxInteger), digest: try plain.digest("digest")),
            expires: try plain.time("expires"),
            policy: try LoopAskingPolicy(plain.object("policy", most: 5)))
    }

    fileprivate var plain: Canonical {
        .object([
            "digest": .text(seen.digest), "epoch": .number(seen.epoch), "sequence": .number(seen.sequence),
            "expires": .text(DocumentTime.text(expires)), "policy": policy.plain,
        ])
    }
}
