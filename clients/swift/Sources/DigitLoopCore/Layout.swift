/// The paths of a feed's files below a site (`loop/feed/layout.py`): only numbers and digests vary.
enum Layout {
    static let feed = "feed.json"
    static let asking = "asking.json"
    static func root(_ version: Int) -> String { "root/\(version).json" }
    static func model(_ digest: String) -> String { "models/\(digest).mlmodel" }
    static func golden(_ digest: String) -> String { "golden/\(digest).json" }
}
