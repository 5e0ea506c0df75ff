import Foundation

/// How slow a server may be: `seconds`, plus one second for each `bytesPerSecond` received.
public struct LoopTimeouts: Sendable {
    public var seconds: TimeInterval
    public var bytesPerSecond: Double

    public init(seconds: TimeInterval = 30, bytesPerSecond: Double = 1000) {
        (self.seconds, self.bytesPerSecond) = (seconds, bytesPerSecond)
    }
}

/// A web server or CDN with the files of a feed.
struct Source: Sendable {
    let site: URL
    let http: any LoopHTTP
    let clock: any LoopClock
    let timeouts: LoopTimeouts

    /// A small file, or nil where there is none. Throws `tooLong`, `tooSlow`, `unavailable`.
    func read(_ path: String, most: Int) async throws -> Data? {
        guard let (_, body) = try await open(path) else { return nil }
        var data = Data()
        try await receive(body, path) { piece in
            data += piece
            if data.count > most { throw LoopError(.tooLong, "\(path): expected at most \(most) bytes, got more") }
        }
        return data
    }

    /// Downloads a file of `length` bytes to `partial`, resuming an earlier download.
    ///
    /// Throws `tooLong` at the first byte too many (nothing is kept), `truncated` if the server ends early, and `unavailable`
    /// or `tooSlow` if it fails (received bytes are kept).
    func download(_ path: String, length: Int, to partial: URL) async throws {
        var have = Disk.size(partial) ?? 0
        if have > length {
            Disk.remove(partial)
            have = 0
        }
        if have == length { return }
        guard let (start, body) = try await open(path, from: have) else {
            throw LoopError(.unavailable, "\(path): the server has no such file")
        }
        let received = try await write(body, path, to: partial, from: start, length: length)
        guard received == length else {
            throw LoopError(.truncated, "\(path): expected \(length) bytes, got \(received); the next sync resumes there")
        }
    }

    private func write(
        _ body: AsyncThrowingStream<Data, any Error>, _ path: String, to partial: URL, from start: Int, length: Int
    ) async throws -> Int {
        let file = try openPartial(partial, at: start)
        defer { try? file.close() }
        var received = start
        try await receive(body, path) { piece in
            received += piece.count
            guard received <= length else {
                Disk.remove(partial)
                throw LoopError(.tooLong, "\(path): got at least \(received - length) bytes more than expected")
            }
            do { try file.write(contentsOf: piece) } catch { throw Disk.full(partial, error) }
        }
        do { try file.synchronize() } catch { throw Disk.full(partial, error) }
        return received
    }

    private func openPartial(_ partial: URL, at start: Int) throws -> FileHandle {
        try Disk.create(partial.deletingLastPathComponent())
        do {
            if !FileManager.default.fileExists(atPath: partial.path) { try Data().write(to: partial) }
            let file = try FileHandle(forWritingTo: partial)
            try file.truncate(atOffset: UInt64(start))
            return file
        } catch { throw Disk.full(partial, error) }
    }

    /// The offset at which the answer begins (`offset` or 0), and its body; nil for 404.
    private func open(_ path: String, from offset: Int = 0) async throws -> (Int, AsyncThrowingStream<Data, any Error>)? {
        var request = LoopRequest("GET", site.appendingPathComponent(path), headers: ["Accept-Encoding": "identity"])
        if offset > 0 { request.headers["Range"] = "bytes=\(offset)-" }
        let response: LoopResponse
        do { response = try await http.send(request) } catch { throw Self.failed(path, error) }
        if response.status == 404 { return nil }
        let range = response.headers["content-range"] ?? ""
        if response.status == 206, offset > 0, range.hasPrefix("bytes \(offset)-") { return (offset, response.body) }
        guard response.status == 200 else {
            throw LoopError(.unavailable, "\(path): expected status 200\(offset > 0 ? " or 206" : ""), got \(response.status)")
        }
        return (0, response.body)
    }

    private func receive(
        _ body: AsyncThrowingStream<Data, any Error>, _ path: String, _ use: (Data) throws -> Void
    ) async throws {
        let begun = clock.uptime()
        var received = 0
        var pieces = body.makeAsyncIterator()
        func next() async throws -> Data? {
            do { return try await pieces.next() } catch { throw Self.failed(path, error) }
        }
        while let piece = try await next() {
            received += piece.count
            let (spent, allowed) = (clock.uptime() - begun, timeouts.seconds + Double(received) / timeouts.bytesPerSecond)
            guard spent <= allowed else {
                throw LoopError(.tooSlow, "\(path): expected \(received) bytes within \(Int(allowed)) s, got them after \(Int(spent)) s")
            }
            try use(piece)
        }
    }

    /// Whatever a ``LoopHTTP`` throws is one of this package's errors to the app.
    private static func failed(_ path: String, _ error: any Error) -> LoopError {
        (error as? LoopError) ?? LoopError(.unavailable, "\(path): the server does not answer (\(error))")
    }
}
