// DigitLoop.swift: an app's half of Digit Loop, in one file. iOS 16 or later; CryptoKit and Core ML, no dependencies.
//
// NOT COMPILED in this repository, which has no Mac: read it as a worked example and build it with your app. A test
// (tests/device/test_swift.py) compares its constants, JSON field names, errors and test vectors with the Python side, and
// runs the preprocessing below, line by line in Python, against loop/digits/ink.py. docs/feed.md says what a device checks and why.
//
//     let loop = try DigitLoop(site: URL(string: "https://cdn.example/digits/")!, folder: support, root: rootInTheApp)
//     try await loop.sync()                                  // at launch and daily; throws Refused, keeps what it has
//     let model = await loop.model ?? theModelInTheApp
//     let outbox = try Outbox(folder: folder, api: api, token: appKey, secret: Install.secret())
//     try await outbox.add(Correction(…)); try await outbox.upload()          // again whenever there is a network
//
// What it leaves out against the Python client: half downloads are not kept, and a signed document is not compared with its
// canonical spelling (nothing is parsed before its signature was checked).

import CoreML
import CryptoKit
import Foundation
import ImageIO
import Security
import UniformTypeIdentifiers

// MARK: - Constants, the same as on the Python side

enum Constants {
    static let format = 1
    static let maxDocumentBytes = 65536
    static let maxModelBytes = 268435456
    static let maxGoldenBytes = 1048576
    static let maxRoots = 64
    static let channel = "cnn.mlmodel"
    static let side = 28
    static let box = 20
    static let centre = 14
    static let minContrast = 8.0
    static let weak = 0.25
    static let strong = 0.5
    static let full = 0.9
    static let inkQuantile = 0.75
}

/// One case for each rule, named as in loop/feed/refusals.py.
enum Refused: Error {
    case unavailable(String), tooLong, truncated, notCanonical, unknownFormat, badDocument(String), keyMismatch
    case tooFewSignatures, keyExpired, rootSkipped, epochFell, rootWithheld, otherEpoch, rolledBack, equivocated, expired
    case noChannel, wrongDigest, wrongModel, doesNotLoad, selfTestFailed(String), stateUnreadable, tooSlow
}

// MARK: - Documents

struct Signature: Codable { let key: String, signature: String }
struct Golden: Codable { let digest: String, length: Int }
struct Release: Codable {
    let digest: String, golden: Golden, length: Int, minimum_ios: String, rollout_percent: Int, urgent: Bool, version: Int
}
struct Feed: Codable {
    let channels: [String: Release], confirm_ppm: Int, epoch: Int, expires: Date, format: Int, issued: Date
    let root: Int, sequence: Int, type: String, withdrawn: [String]
}
struct FeedKey: Codable { let expires: Date, `public`: String }
struct RootRole: Codable { let keys: [String: String], threshold: Int }
struct FeedRole: Codable { let keys: [String: FeedKey], threshold: Int }
struct Root: Codable {
    let epoch: Int, feed: FeedRole, format: Int, issued: Date, root: RootRole, type: String, version: Int
}
struct GoldenVectors: Codable {
    struct Vector: Codable { let label: Int, pixels: Data, probabilities: [Double] }
    let format: Int, model: String, tolerance: Double, vectors: [Vector]
}

/// `{"signatures":[…],"signed":…}`: the signed bytes are cut out as they came; strings hold no quotes.
struct Envelope {
    let body: Data, signatures: [Signature]

    init(_ data: Data) throws {
        guard data.count <= Constants.maxDocumentBytes else { throw Refused.tooLong }
        let head = Data(#"{"signatures":"#.utf8), middle = Data(#","signed":"#.utf8)
        guard data.starts(with: head), data.last == UInt8(ascii: "}"), let cut = data.range(of: middle) else {
            throw Refused.notCanonical
        }
        body = Data(data[cut.upperBound..<(data.endIndex - 1)])
        signatures = try JSONDecoder().decode([Signature].self, from: Data(data[head.count..<cut.lowerBound]))
        let keys = signatures.map(\.key)
        guard !keys.isEmpty, keys == Array(Set(keys)).sorted() else { throw Refused.badDocument("signatures") }
    }

    /// How many of the keys (ids to public keys in hex) have validly signed.
    func count(_ keys: [String: String]) -> Int {
        signatures.filter { one in
            guard let hex = keys[one.key], let raw = Data(hex: hex), let made = Data(hex: one.signature),
                let key = try? Curve25519.Signing.PublicKey(rawRepresentation: raw) else { return false }
            return key.isValidSignature(made, for: body)
        }.count
    }

    func decode<T: Decodable>(_ kind: T.Type) throws -> T {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        do { return try decoder.decode(kind, from: body) } catch { throw Refused.badDocument("\(error)") }
    }
}

// MARK: - What a device believes (loop/feed/trust.py)

struct Held: Codable, Equatable { let version: Int, digest: String }

/// Everything that must survive; replaced whole.
struct State: Codable {
    var root: Data, sequence = 0, feedDigest: String?, issued: Date?, device: String, current: Held?, previous: Held?
}

enum Trust {
    /// A root document: the first (from the app), or the next after `before`.
    static func root(_ data: Data, after before: Root?) throws -> Root {
        let envelope = try Envelope(data)
        if let before, envelope.count(before.root.keys) < before.root.threshold { throw Refused.tooFewSignatures }
        let root = try envelope.decode(Root.self)
        guard root.type == "root", root.format == Constants.format else { throw Refused.unknownFormat }
        let publics = root.root.keys.merging(root.feed.keys.mapValues(\.public)) { one, _ in one }
        guard publics.allSatisfy({ id, hex in Data(hex: hex).map(sha256) == id }) else { throw Refused.keyMismatch }
        guard root.root.threshold > 0, root.feed.threshold > 0 else { throw Refused.badDocument("threshold") }
        if let before, root.version != before.version + 1 { throw Refused.rootSkipped }
        guard envelope.count(root.root.keys) >= root.root.threshold else { throw Refused.tooFewSignatures }
        if let before, root.epoch < before.epoch { throw Refused.epochFell }
        return root
    }

    /// A feed, by the rules in their order.
    static func feed(_ data: Data, root: Root, state: State, now: Date) throws -> (feed: Feed, digest: String) {
        let envelope = try Envelope(data)
        let moment = max(now, state.issued ?? now)
        let valid = root.feed.keys.filter { moment < $0.value.expires }
        guard envelope.count(root.feed.keys.mapValues(\.public)) >= root.feed.threshold else { throw Refused.tooFewSignatures }
        guard envelope.count(valid.mapValues(\.public)) >= root.feed.threshold else { throw Refused.keyExpired }
        let feed = try envelope.decode(Feed.self), digest = sha256(envelope.body)
        guard feed.type == "feed", feed.format == Constants.format else { throw Refused.unknownFormat }
        let named = feed.channels.values.flatMap { [$0.digest, $0.golden.digest] } + feed.withdrawn
        guard named.allSatisfy(isDigest) else { throw Refused.badDocument("digest") }  // only digests become paths
        guard feed.channels.values.allSatisfy({ !feed.withdrawn.contains($0.digest) }) else {
            throw Refused.badDocument("withdrawn")
        }
        guard feed.epoch == root.epoch else { throw Refused.otherEpoch }
        guard feed.root <= root.version else { throw Refused.rootWithheld }
        guard feed.sequence >= state.sequence else { throw Refused.rolledBack }
        if feed.sequence == state.sequence, digest != state.feedDigest { throw Refused.equivocated }
        guard moment < feed.expires else { throw Refused.expired }
        return (feed, digest)
    }

    /// 0 to 99, the same for ever for one device and one model.
    static func bucket(device: String, digest: String) -> Int {
        Int(sha256(Data("\(device):\(digest)".utf8)).prefix(8), radix: 16)! % 100
    }
}

// MARK: - The device

actor DigitLoop {
    private let site: URL, folder: URL
    private var state: State, root: Root
    private(set) var model: MLModel?
    private(set) var confirmRate = 0.0, urgent = false

    /// `root` is the root document that was built into the app; it counts the first time only.
    init(site: URL, folder: URL, root data: Data) throws {
        (self.site, self.folder) = (site, folder)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("state.json")
        if FileManager.default.fileExists(atPath: file.path) {
            guard let kept = try? JSONDecoder().decode(State.self, from: Data(contentsOf: file)) else {
                throw Refused.stateUnreadable
            }
            state = kept
        } else {
            state = State(root: data, device: UUID().uuidString)
        }
        root = try Trust.root(state.root, after: nil)
        model = state.current.flatMap { try? MLModel(contentsOf: folder.appendingPathComponent("\($0.digest).mlmodelc")) }
    }

    /// One look for something newer. Throws `Refused`; the model in use then stays, unless it was withdrawn.
    func sync(now: Date = Date()) async throws {
        for _ in 0..<Constants.maxRoots {
            guard let data = try await fetch("root/\(root.version + 1).json", most: Constants.maxDocumentBytes) else { break }
            let next = try Trust.root(data, after: root)
            if next.epoch > root.epoch { (state.sequence, state.feedDigest, state.issued) = (0, nil, nil) }
            (root, state.root) = (next, data)
            try save()
        }
        guard let data = try await fetch("feed.json", most: Constants.maxDocumentBytes) else {
            throw Refused.unavailable("feed.json")
        }
        let (feed, digest) = try Trust.feed(data, root: root, state: state, now: now)
        (state.sequence, state.feedDigest, state.issued) = (feed.sequence, digest, feed.issued)
        let usable = [state.current, state.previous].compactMap { $0 }.filter { !feed.withdrawn.contains($0.digest) }
        if usable.first != state.current { model = nil }
        (state.current, state.previous) = (usable.first, usable.dropFirst().first)
        try save()
        if model == nil, let held = state.current { model = try? MLModel(contentsOf: compiled(held.digest)) }
        guard let release = feed.channels[Constants.channel] else { throw Refused.noChannel }
        (confirmRate, urgent) = (Double(feed.confirm_ppm) / 1_000_000, release.urgent)
        if release.digest == state.current?.digest, model != nil { return }
        if release.minimum_ios.compare(Self.ios, options: .numeric) == .orderedDescending { return }
        let bucket = Trust.bucket(device: state.device, digest: release.digest)
        if model != nil, bucket >= release.rollout_percent { return }
        try await install(release)
    }

    /// Download, verify, compile, self-test; the switch is the rename in `save`.
    private func install(_ release: Release) async throws {
        guard release.length <= Constants.maxModelBytes, release.golden.length <= Constants.maxGoldenBytes else {
            throw Refused.tooLong
        }
        let data = try await file("models/\(release.digest).mlmodel", release.length, release.digest)
        let vectors = try await file("golden/\(release.golden.digest).json", release.golden.length, release.golden.digest)
        let source = folder.appendingPathComponent("\(release.digest).mlmodel")
        try data.write(to: source, options: .atomic)
        defer { try? FileManager.default.removeItem(at: source) }
        guard let built = try? await MLModel.compileModel(at: source), let fresh = try? MLModel(contentsOf: built) else {
            throw Refused.doesNotLoad
        }
        defer { try? FileManager.default.removeItem(at: built) }
        let says = fresh.modelDescription.metadata[.creatorDefinedKey] as? [String: String] ?? [:]
        guard says["loop.family"] == Constants.channel.components(separatedBy: ".")[0],
            says["loop.version"] == String(release.version) else { throw Refused.wrongModel }
        try selfTest(fresh, vectors, digest: release.digest)
        let place = compiled(release.digest)
        try? FileManager.default.removeItem(at: place)
        try FileManager.default.moveItem(at: built, to: place)
        let held = Held(version: release.version, digest: release.digest)
        (state.previous, state.current) = (state.current == held ? state.previous : state.current, held)
        try save()
        model = try MLModel(contentsOf: place)
        let kept = [state.current, state.previous].compactMap { $0 }.map { "\($0.digest).mlmodelc" }
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
        where name.hasSuffix(".mlmodelc") && !kept.contains(name) {
            try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
        }
    }

    /// The model answers here as it answered where it was judged.
    private func selfTest(_ model: MLModel, _ data: Data, digest: String) throws {
        guard let golden = try? JSONDecoder().decode(GoldenVectors.self, from: data), golden.model == digest,
            !golden.vectors.isEmpty else { throw Refused.selfTestFailed("the golden vectors are not this model's") }
        for vector in golden.vectors {
            let found = try Digit.probabilities(model, pixels: [UInt8](vector.pixels))
            let label = found.indices.max { found[$0] < found[$1] }
            let off = zip(found, vector.probabilities).map { abs($0 - $1) }.max() ?? .infinity
            guard label == vector.label, vector.probabilities.count == 10, off <= golden.tolerance else {
                throw Refused.selfTestFailed("expected \(vector.label), came \(label ?? -1), off by \(off)")
            }
        }
    }

    private func file(_ path: String, _ length: Int, _ digest: String) async throws -> Data {
        guard let data = try await fetch(path, most: length) else { throw Refused.unavailable(path) }
        guard data.count == length else { throw Refused.truncated }
        guard sha256(data) == digest else { throw Refused.wrongDigest }
        return data
    }

    /// A file's bytes, nil where there is none (404). Hangs up at the first byte too many.
    private func fetch(_ path: String, most: Int) async throws -> Data? {
        var request = URLRequest(url: site.appendingPathComponent(path), timeoutInterval: 20)
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        let begun = Date(), (bytes, response) = try await URLSession.shared.bytes(for: request)
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        if status == 404 { return nil }
        guard status == 200 else { throw Refused.unavailable("\(path): \(status)") }
        var data = Data()
        for try await byte in bytes {
            data.append(byte)
            guard data.count <= most else { throw Refused.tooLong }
            guard Date().timeIntervalSince(begun) < 30 + Double(data.count) / 1000 else { throw Refused.tooSlow }
        }
        return data
    }

    private func save() throws {
        try JSONEncoder().encode(state).write(to: folder.appendingPathComponent("state.json"), options: .atomic)
    }

    private func compiled(_ digest: String) -> URL { folder.appendingPathComponent("\(digest).mlmodelc") }

    private static var ios: String {
        let version = ProcessInfo.processInfo.operatingSystemVersion
        return "\(version.majorVersion).\(version.minorVersion)"
    }
}

// MARK: - A drawing to 28×28 (loop/digits/ink.py), and a model's answer to it

enum Digit {
    /// Places a clean drawing as MNIST does: box of the ink, 20×20, centre of mass at 14. `grey` has `width` × `height`
    /// bytes in rows, white ink (255) on black, at most 512 on a side: draw into such a canvas. nil where it is blank.
    static func normalise(_ grey: [UInt8], width: Int, height: Int) -> [UInt8]? {
        let rise = grey.map(Double.init), outstanding = rise.filter { $0 > Constants.minContrast }
        guard !outstanding.isEmpty else { return nil }
        let level = quantile(outstanding, Constants.inkQuantile)
        let ink = rise.map { $0 > Constants.weak * level }
        let at = ink.indices.filter { ink[$0] }
        guard rise.contains(where: { $0 > Constants.strong * level }) else { return nil }
        let rows = at.map { $0 / width }, columns = at.map { $0 % width }
        let (top, bottom, left, right) = (rows.min()!, rows.max()!, columns.min()!, columns.max()!)
        var crop = [[Double]]()
        for y in top...bottom {
            crop.append((left...right).map { x in
                let near = (max(0, y - 1)...min(height - 1, y + 1)).contains { v in
                    (max(0, x - 1)...min(width - 1, x + 1)).contains { u in ink[v * width + u] }
                }
                return near ? min(1, rise[y * width + x] / level) : 0
            })
        }
        let scale = Double(Constants.box) / Double(max(crop.count, crop[0].count))
        let across = max(1, Int((Double(crop[0].count) * scale).rounded(.toNearestOrEven)))
        let down = max(1, Int((Double(crop.count) * scale).rounded(.toNearestOrEven)))
        let narrow = crop.map { resample($0, to: across) }
        let turned = (0..<across).map { x in resample(narrow.map { $0[x] }, to: down) }
        var fitted = (0..<down).map { y in (0..<across).map { x in max(0, turned[x][y]) } }
        let peak = fitted.joined().max()!
        let full = quantile(fitted.joined().filter { $0 > 0.5 * peak }, Constants.full)
        fitted = fitted.map { $0.map { min($0 / full, 1) } }
        let mass = fitted.joined().reduce(0, +)
        let row = fitted.enumerated().map { Double($0) * $1.reduce(0, +) }.reduce(0, +) / mass
        let column = fitted.map { $0.enumerated().map { Double($0) * $1 }.reduce(0, +) }.reduce(0, +) / mass
        let y0 = min(max(Int((Double(Constants.centre) - row).rounded(.toNearestOrEven)), 0), Constants.side - down)
        let x0 = min(max(Int((Double(Constants.centre) - column).rounded(.toNearestOrEven)), 0), Constants.side - across)
        var frame = [UInt8](repeating: 0, count: Constants.side * Constants.side)
        for y in 0..<down {
            for x in 0..<across {
                frame[(y0 + y) * Constants.side + x0 + x] = UInt8((fitted[y][x] * 255).rounded(.toNearestOrEven))
            }
        }
        return frame
    }

    /// One row or column in another length, with Pillow's Hamming filter.
    static func resample(_ line: [Double], to length: Int) -> [Double] {
        let scale = Double(line.count) / Double(length), spread = max(scale, 1)
        return (0..<length).map { i in
            let middle = (Double(i) + 0.5) * scale
            let first = max(0, Int(middle - spread + 0.5)), last = min(line.count, Int(middle + spread + 0.5))
            let weights = (first..<last).map { hamming((Double($0) - middle + 0.5) / spread) }
            return zip(weights, line[first..<last]).map(*).reduce(0, +) / weights.reduce(0, +)
        }
    }

    static func hamming(_ x: Double) -> Double {
        if x == 0 { return 1 }
        return abs(x) >= 1 ? 0 : sin(.pi * x) / (.pi * x) * (0.54 + 0.46 * cos(.pi * x))
    }

    static func quantile(_ values: [Double], _ share: Double) -> Double {
        let sorted = values.sorted(), place = share * Double(sorted.count - 1), low = Int(place)
        return sorted[low] + (sorted[min(low + 1, sorted.count - 1)] - sorted[low]) * (place - Double(low))
    }

    /// Ten probabilities for 784 bytes, white ink on black.
    static func probabilities(_ model: MLModel, pixels: [UInt8]) throws -> [Double] {
        guard pixels.count == Constants.side * Constants.side, let input = model.modelDescription.inputDescriptionsByName.keys.first,
            let output = model.modelDescription.predictedProbabilitiesName else { throw Refused.doesNotLoad }
        var made: CVPixelBuffer?
        CVPixelBufferCreate(nil, Constants.side, Constants.side, kCVPixelFormatType_OneComponent8, nil, &made)
        guard let buffer = made else { throw Refused.doesNotLoad }
        CVPixelBufferLockBaseAddress(buffer, [])
        let start = CVPixelBufferGetBaseAddress(buffer)!, stride = CVPixelBufferGetBytesPerRow(buffer)
        for y in 0..<Constants.side {
            pixels[(y * Constants.side)..<((y + 1) * Constants.side)].withUnsafeBytes {
                start.advanced(by: y * stride).copyMemory(from: $0.baseAddress!, byteCount: Constants.side)
            }
        }
        CVPixelBufferUnlockBaseAddress(buffer, [])
        let features = try MLDictionaryFeatureProvider(dictionary: [input: MLFeatureValue(pixelBuffer: buffer)])
        let answer = try model.prediction(from: features).featureValue(for: output)?.dictionaryValue ?? [:]
        return (0..<10).map { answer["\($0)" as AnyHashable]?.doubleValue ?? answer[$0 as AnyHashable]?.doubleValue ?? .nan }
    }
}

// MARK: - Corrections on their way up

/// Who this install is: 32 random bytes in the keychain. Its source's name on the server is a hash of them, so nobody else
/// can add to it or erase it, and nothing has to be enrolled. Lost with the keychain: then this is a new source.
enum Install {
    static func secret(service: String = "digit-loop") throws -> String {
        var query: [CFString: Any] = [kSecClass: kSecClassGenericPassword, kSecAttrService: service, kSecAttrAccount: "source"]
        var found: CFTypeRef?
        if SecItemCopyMatching(query.merging([kSecReturnData: true]) { $1 } as CFDictionary, &found) == errSecSuccess,
            let data = found as? Data { return String(decoding: data, as: UTF8.self) }
        let made = base64url(SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) })
        query[kSecValueData] = Data(made.utf8)
        query[kSecAttrAccessible] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
        guard SecItemAdd(query as CFDictionary, nil) == errSecSuccess else { throw Refused.stateUnreadable }
        return made
    }

    static func source(_ secret: String) -> String { "s" + sha256(Data("digit-loop source\n\(secret)".utf8)).prefix(40) }
}

/// The body of POST /v1/corrections, fields as in loop/api/schemas.py; `image` is a PNG of the 28×28 that the model saw.
struct Correction: Codable {
    let key: String, image: Data, label: Int, kind: String
    let predicted: Int?, confidence: Double?, version: Int?, rate: Double, captured_at: Date

    /// `rate`: 1 for corrections, `DigitLoop.confirmRate` for confirmations.
    init?(pixels: [UInt8], label: Int, predicted: Int, confidence: Double, version: Int, rate: Double = 1) {
        guard let image = png(pixels) else { return nil }
        (self.image, self.label, self.predicted) = (image, label, predicted)
        (self.confidence, self.version, self.rate) = (confidence, version, rate)
        (key, kind, captured_at) = (UUID().uuidString, label == predicted ? "confirmation" : "correction", Date())
    }
}

/// Corrections wait here, a file each, until the server says that it has them: through restarts, for weeks.
actor Outbox {
    private let folder: URL, api: URL, token: String, secret: String
    private var uploading = false  // an actor lets others in wherever it awaits

    init(folder: URL, api: URL, token: String, secret: String) throws {
        (self.folder, self.api, self.token, self.secret) = (folder, api, token, secret)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    func add(_ correction: Correction) throws {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        let place = folder.appendingPathComponent("\(correction.key).json")
        try encoder.encode(correction).write(to: place, options: [.atomic, .completeFileProtectionUntilFirstUserAuthentication])
    }

    /// Sends what waits. The key makes a retry harmless; what the server refuses for good is dropped. These statuses are
    /// final because each correction is sent alone: a batch that gets `urn:digit-loop:split-batch` must be split instead.
    func upload() async throws {
        guard !uploading else { return }
        uploading = true
        defer { uploading = false }
        for place in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        where place.pathExtension == "json" {
            var request = self.request("POST", "v1/corrections")
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
            request.setValue(place.deletingPathExtension().lastPathComponent, forHTTPHeaderField: "Idempotency-Key")
            let (_, response) = try await URLSession.shared.upload(for: request, from: Data(contentsOf: place))
            switch (response as? HTTPURLResponse)?.statusCode ?? 0 {
            case 200..<300, 400, 410, 413, 415, 422: try FileManager.default.removeItem(at: place)
            default: return  // 401, 403, 408, 429, 5xx: later
            }
        }
    }

    /// The user wants their digits gone, here and on the server; false: try again later.
    func erase() async throws -> Bool {
        for place in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) {
            try FileManager.default.removeItem(at: place)
        }
        if uploading { return false }  // what is on its way now could arrive after the erasure
        let (_, response) = try await URLSession.shared.data(for: request("DELETE", "v1/sources/\(Install.source(secret))"))
        return (response as? HTTPURLResponse)?.statusCode == 200
    }

    private func request(_ method: String, _ path: String) -> URLRequest {
        var request = URLRequest(url: api.appendingPathComponent(path), timeoutInterval: 30)
        request.httpMethod = method
        request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
        request.setValue(secret, forHTTPHeaderField: "Loop-Source")
        return request
    }
}

// MARK: - Small things

func sha256(_ data: Data) -> String { SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined() }

func base64url(_ data: Data) -> String {
    data.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
        .replacingOccurrences(of: "=", with: "")
}

func isDigest(_ text: String) -> Bool { text.utf8.count == 64 && text.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) } }

func png(_ pixels: [UInt8]) -> Data? {
    guard let provider = CGDataProvider(data: Data(pixels) as CFData), let image = CGImage(
        width: Constants.side, height: Constants.side, bitsPerComponent: 8, bitsPerPixel: 8, bytesPerRow: Constants.side,
        space: CGColorSpaceCreateDeviceGray(), bitmapInfo: CGBitmapInfo(rawValue: 0), provider: provider, decode: nil,
        shouldInterpolate: false, intent: .defaultIntent) else { return nil }
    let data = NSMutableData()
    guard let file = CGImageDestinationCreateWithData(data, UTType.png.identifier as CFString, 1, nil) else { return nil }
    CGImageDestinationAddImage(file, image, nil)
    return CGImageDestinationFinalize(file) ? data as Data : nil
}

extension Data {
    init?(hex: String) {
        let digits = Array(hex.utf8)
        guard digits.count % 2 == 0 else { return nil }
        self.init()
        for i in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[i..<(i + 2)], as: UTF8.self), radix: 16) else { return nil }
            append(byte)
        }
    }
}

// MARK: - Test vectors: call in your unit tests; the Python test checks the same values

enum Vectors {
    static let device = "00000000000000000000000000000000"
    static let digest = "1111111111111111111111111111111111111111111111111111111111111111"
    static let bucket = 77
    static let secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    static let source = "scce35bd9f5f2a54cb68d19445757fadd7ac8079f"
    static let publicKey = "788a88a7369d90e2f327de9771b45cc11e15ff2f6fd6ab77b45b33175f6533d6"
    static let keyId = "28473e809a067b10a844869be3de03b1144856d82fb4c767d9aaa2c13be03a62"
    static let envelope = #"{"signatures":[{"key":"28473e809a067b10a844869be3de03b1144856d82fb4c767d9aaa2c13be03a62","signature":"b180f6ed65e20a578ade197505ac4983c86865a210d65403ca0f59b7fdec7c1dc5d5453601eab62f0bf648d2fc6293f6b13f6f76363a91f8dd488a6f8f313d0c"}],"signed":{"a":1}}"#
    static let resampled: [Double] = [0.126383152, 0.861458616, 0.063191576]  // resample([0, 0, 1, 1, 0.5, 0, 0], to: 3)

    static func check() throws -> Bool {
        let short = Digit.resample([0, 0, 1, 1, 0.5, 0, 0], to: 3)
        return try Trust.bucket(device: device, digest: digest) == bucket
            && Install.source(secret) == source
            && Data(hex: publicKey).map(sha256) == keyId
            && Envelope(Data(envelope.utf8)).count([keyId: publicKey]) == 1
            && zip(short, resampled).allSatisfy { abs($0 - $1) < 1e-6 }
    }
}
