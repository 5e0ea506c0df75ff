import Foundation

/// The one error of this package. ``rule`` is for code, ``detail`` is for people and may change.
///
/// After any error of a sync the app keeps its model; after any error of the outbox the corrections are still in it.
public struct LoopError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// The rule that was broken. Raw values of the feed's rules are the names in `loop/feed/refusals.py`.
    public enum Rule: String, Sendable, CaseIterable {
        // The source
        case unavailable = "Unavailable"
        case tooSlow = "TooSlow"
        case tooLong = "TooLong"
        case truncated = "Truncated"
        // Documents
        case notCanonical = "NotCanonical"
        case unknownFormat = "UnknownFormat"
        case badDocument = "BadDocument"
        case keyMismatch = "KeyMismatch"
        // Trust
        case tooFewSignatures = "TooFewSignatures"
        case keyExpired = "KeyExpired"
        case rootSkipped = "RootSkipped"
        case epochFell = "EpochFell"
        case rootWithheld = "RootWithheld"
        case otherEpoch = "OtherEpoch"
        case rolledBack = "RolledBack"
        case equivocated = "Equivocated"
        case expired = "Expired"
        // The model
        case noChannel = "NoChannel"
        case wrongDigest = "WrongDigest"
        case wrongModel = "WrongModel"
        case doesNotLoad = "DoesNotLoad"
        case selfTestFailed = "SelfTestFailed"
        // The device
        case stateUnreadable = "StateUnreadable"
        case diskFull = "DiskFull"
        case busy = "Busy"
        case noSecret = "NoSecret"
        // What the app passes in
        case badImage = "BadImage"
        case badField = "BadField"
    }

    public let rule: Rule
    /// What was expected, what was received, and where it helps what to do next; one line.
    public let detail: String

    public init(_ rule: Rule, _ detail: String) {
        (self.rule, self.detail) = (rule, detail)
    }

    public var description: String { "\(rule.rawValue): \(detail)" }
    public var errorDescription: String? { description }
}
