import Foundation

/// What phones send although nobody corrected it, and when an app asks its user (docs/feed.md, "The asking policy").
///
/// A drawing is *unsure* if the probabilities of its two best digits differ by less than `marginPPM`. All shares are in a
/// million.
public struct LoopAskingPolicy: Sendable, Equatable {
    public let marginPPM: Int
    /// The chances with which an unsure drawing, and any other, is sent.
    public let unsurePPM: Int
    public let otherPPM: Int
    /// Whether the app asks "a 1 or a 7?" about an unsure drawing that it would send, and how often a day at most.
    public let askUser: Bool
    public let askedADay: Int
}

/// What a device does with a drawing: send it, with this rate; ask its user first, and send the answer instead.
struct Decision: Sendable, Equatable {
    let send: Bool
    let ask: Bool
    let rate: Double
}

extension LoopAskingPolicy {
    /// Whether a drawing with these probabilities of the two best digits is unsure.
    func isUnsure(_ best: Double, _ second: Double) -> Bool {
        (best - second) * Double(Limits.million) < Double(marginPPM)
    }

    /// The decision about one new drawing, which nobody corrected. `lot`: a random number from 0 to 999,999, drawn once for
    /// each drawing.
    func decide(_ best: Double, _ second: Double, lot: Int, askedToday: Int) -> Decision {
        let unsure = isUnsure(best, second)
        let chance = unsure ? unsurePPM : otherPPM
        let send = lot < chance
        let ask = send && unsure && askUser && askedToday < askedADay
        return Decision(send: send, ask: ask, rate: Double(chance) / Double(Limits.million))
    }

    /// The policy among the fields of a document or of the device's state. Throws `badDocument`.
    init(_ plain: Fields) throws {
        self.init(
            marginPPM: try plain.share("margin_ppm"), unsurePPM: try plain.share("unsure_ppm"),
            otherPPM: try plain.share("other_ppm"), askUser: try plain.flag("ask_user"),
            askedADay: try plain.number("asked_a_day", 0...Limits.askedADay))
    }

    var plain: Canonical {
        .object([
            "ask_user": .flag(askUser), "asked_a_day": .number(askedADay), "margin_ppm": .number(marginPPM),
            "other_ppm": .number(otherPPM), "unsure_ppm": .number(unsurePPM),
        ])
    }
}

/// A policy from `issued` until `expires`; its `sequence` rises as that of feeds does, on its own.
struct Asking: Sendable, Equatable {
    let epoch: Int
    let sequence: Int
    let issued: Date
    let expires: Date
    let policy: LoopAskingPolicy

    /// Every member that this package understands.
    private static let members: Set<String> = [
        "ask_user", "asked_a_day", "critical", "epoch", "expires", "format", "issued", "margin_ppm", "other_ppm", "sequence",
        "type", "unsure_ppm",
    ]

    /// The policy in signed bytes. Unlike a feed it may grow: unknown members are ignored, unless `critical` names them.
    /// Throws `notCanonical`, `unknownFormat`, `badDocument`.
    static func parse(_ data: Data) throws -> Asking {
        let plain = try Fields.open(data, type: "asking")
        try isUnderstood(plain)
        let asking = Asking(
            epoch: try plain.number("epoch", 1...Canonical.maxInteger),
            sequence: try plain.number("sequence", 1...Canonical.maxInteger),
            issued: try plain.time("issued"),
            expires: try plain.time("expires"),
            policy: try LoopAskingPolicy(plain))
        guard asking.expires > asking.issued else { throw bad("expires", "a time after issued") }
        return asking
    }

    private static func isUnderstood(_ plain: Fields) throws {
        guard let critical = plain.values["critical"] else { return }
        guard case .array(let listed) = critical, listed.count <= Limits.critical else {
            throw bad("critical", "at most \(Limits.critical) names")
        }
        let names = listed.compactMap { if case .text(let name) = $0 { name } else { nil } }
        guard names.count == listed.count else { throw bad("critical", "names") }
        if let unknown = names.sorted().first(where: { !members.contains($0) }) {
            throw LoopError(
                .unknownFormat, "critical: expected known members, got \(unknown.prefix(40)); update the app")
        }
    }
}
