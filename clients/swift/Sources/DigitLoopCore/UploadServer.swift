import Foundation

/// What an answer means for one upload (the table in docs/api.md).
enum Fate: Sendable, Equatable {
    /// It is on the server's disk, under this number.
    case accepted(id: Int?)
    /// The same request is never accepted.
    case refused(type: String, detail: String)
    case later(Later)

    init(status: Int, accepted: Accepted?, problem: Problem?, retryAfter: Int?) {
        switch status {
        case 200..<300: self = .accepted(id: accepted?.id)
        case 400, 410, 413, 415, 422:
            self = .refused(type: problem?.type ?? "status \(status)", detail: problem?.detail ?? "")
        default:
            let seconds = retryAfter ?? problem?.retry_after
            self = .later(Later(seconds: seconds, why: problem?.detail ?? "status \(status)"))
        }
    }
}

/// Send the same again, after so many seconds if the answer has them.
struct Later: Sendable, Equatable {
    let seconds: Int?
    let why: String
    static let noAnswer = Later(seconds: nil, why: "the server does not answer")
}

/// What an answer means for a batch.
enum BatchFate: Sendable {
    /// One answer for each upload, in order.
    case answers([Fate])
    /// Too long or not readable: send its halves.
    case split
    case later(Later)
}

/// An RFC 9457 problem document, the fields that this package reads.
struct Problem: Decodable, Sendable {
    let type: String?
    let detail: String?
    let retry_after: Int?
}

/// The receipt of one upload.
struct Accepted: Decodable, Sendable { let id: Int? }

/// The server's API for apps.
struct UploadServer: Sendable {
    let api: URL
    let key: String
    let secrets: any LoopSecretKeeping
    let http: any LoopHTTP
    let cryptography: any LoopCryptography

    static let splitBatch = "urn:digit-loop:split-batch"
    private static let longestAnswer = 4 << 20

    /// This install's name on the server.
    func source(_ secret: String) -> String {
        "s" + cryptography.digest(Data("digit-loop source\n\(secret)".utf8)).prefix(40)
    }

    func send(_ body: Data, key: String, to list: LoopCorrection.List, _ secret: String) async -> Fate {
        let headers = ["Idempotency-Key": key]
        guard let answer = await answer("POST", "v1/\(list.rawValue)", secret, body, headers) else { return .later(.noAnswer) }
        return Fate(
            status: answer.status, accepted: answer.decoded(), problem: answer.decoded(), retryAfter: answer.retryAfter)
    }

    func send(batch: [Data], to list: LoopCorrection.List, _ secret: String) async -> BatchFate {
        let head = Data(#"{"\#(list.rawValue)":["#.utf8)
        let body = head + Data(batch.joined(separator: Data(",".utf8))) + Data("]}".utf8)
        guard let answer = await answer("POST", "v1/\(list.rawValue):batch", secret, body) else { return .later(.noAnswer) }
        if answer.status == 200, let found: Answers = answer.decoded(), found.answers.count == batch.count {
            return .answers(
                found.answers.map { Fate(status: $0.status, accepted: $0.accepted, problem: $0.problem, retryAfter: nil) })
        }
        let problem: Problem? = answer.decoded()
        // A proxy's own 413 has no type: halves are what it lets through.
        if answer.status == 413 || (answer.status == 400 && problem?.type == Self.splitBatch) { return .split }
        let seconds = answer.retryAfter ?? problem?.retry_after
        return .later(Later(seconds: seconds, why: problem?.detail ?? "status \(answer.status)"))
    }

    /// Whether the upload is taken back, or no longer there.
    func withdraw(_ id: Int, _ secret: String) async -> Bool {
        guard let answer = await answer("DELETE", "v1/corrections/\(id)", secret, nil) else { return false }
        return answer.status == 200 || answer.status == 404
    }

    /// Throws `unavailable` unless the server has erased the source.
    func erase(_ secret: String) async throws -> LoopErased {
        let answer = await answer("DELETE", "v1/sources/\(source(secret))", secret, nil)
        if answer?.status == 404 { return LoopErased(uploads: 0, considered: []) }  // it has sent nothing
        return try expected(answer, "erasure")
    }

    /// Throws `unavailable`.
    func history(before: Int?, _ secret: String) async throws -> LoopHistory {
        var query = [URLQueryItem(name: "limit", value: "50")]
        if let before { query.append(URLQueryItem(name: "before", value: String(before))) }
        return try expected(await answer("GET", "v1/corrections", secret, nil, query: query), "corrections")
    }

    /// Writes the copy of everything; returns how many uploads it has. Throws `unavailable`, `truncated`, `diskFull`.
    func export(to file: URL, _ secret: String) async throws -> Int {
        let request = request("GET", "v1/sources/\(source(secret))/export", secret, nil)
        let response: LoopResponse
        do { response = try await http.send(request) } catch { throw Self.failed("export", "none (\(error))") }
        guard response.status == 200 else { throw Self.failed("export", "status \(response.status)") }
        do { return try await ExportFile(file).write(response.body) } catch let error as LoopError { throw error } catch {
            throw Self.failed("export", "a part (\(error))")
        }
    }

    private struct Answers: Decodable {
        struct Answer: Decodable {
            let status: Int
            let accepted: Accepted?
            let problem: Problem?
        }
        let answers: [Answer]
    }

    private struct Answer {
        let status: Int
        let retryAfter: Int?
        let body: Data
        func decoded<T: Decodable>() -> T? { try? JSONDecoder().decode(T.self, from: body) }
    }

    private func expected<T: Decodable>(_ answer: Answer?, _ what: String) throws -> T {
        guard let answer else { throw Self.failed(what, "none") }
        guard answer.status == 200, let found: T = answer.decoded() else {
            let problem: Problem? = answer.decoded()
            throw Self.failed(what, "status \(answer.status) (\(problem?.detail ?? "another form"))")
        }
        return found
    }

    private static func failed(_ what: String, _ got: String) -> LoopError {
        LoopError(.unavailable, "\(what): expected an answer with status 200, got \(got); try again")
    }

    private func request(
        _ method: String, _ path: String, _ secret: String, _ body: Data?, _ more: [String: String] = [:],
        query: [URLQueryItem] = []
    ) -> LoopRequest {
        var url = api.appendingPathComponent(path)
        if !query.isEmpty, var parts = URLComponents(url: url, resolvingAgainstBaseURL: true) {
            parts.queryItems = query
            url = parts.url ?? url
        }
        var request = LoopRequest(method, url, headers: more, body: body)
        request.headers["Authorization"] = "Bearer \(key)"
        request.headers["Loop-Source"] = secret
        if body != nil { request.headers["Content-Type"] = "application/json" }
        return request
    }

    /// The whole answer; nil if there is none, or if it breaks off.
    private func answer(
        _ method: String, _ path: String, _ secret: String, _ body: Data?, _ more: [String: String] = [:],
        query: [URLQueryItem] = []
    ) async -> Answer? {
        guard let response = try? await http.send(request(method, path, secret, body, more, query: query)) else { return nil }
        var data = Data()
        do {
            for try await piece in response.body {
                data += piece
                if data.count > Self.longestAnswer { return nil }
            }
        } catch { return nil }
        let seconds = response.headers["retry-after"].flatMap { Int($0) }
        return Answer(status: response.status, retryAfter: seconds, body: data)
    }
}

/// A file of JSON lines; one without its last line, `{"end": n}`, is not complete and gets no name.
private struct ExportFile {
    let file: URL
    private let partial: URL

    init(_ file: URL) { (self.file, partial) = (file, file.appendingPathExtension("part")) }

    func write(_ body: AsyncThrowingStream<Data, any Error>) async throws -> Int {
        defer { Disk.remove(partial) }
        try Disk.create(file.deletingLastPathComponent())
        let handle: FileHandle
        do {
            try Data().write(to: partial)
            handle = try FileHandle(forWritingTo: partial)
        } catch { throw Disk.full(partial, error) }
        defer { try? handle.close() }
        var last = Data()
        for try await piece in body {
            do { try handle.write(contentsOf: piece) } catch { throw Disk.full(partial, error) }
            last = Data((last + piece).suffix(64))
        }
        let lines = last.split(separator: UInt8(ascii: "\n"))
        guard last.last == UInt8(ascii: "\n"), let end = lines.last,
            let count = try? JSONDecoder().decode(End.self, from: Data(end)).end
        else { throw LoopError(.truncated, "export: expected a last line with the number of uploads, got none; try again") }
        do { try handle.synchronize() } catch { throw Disk.full(partial, error) }
        try Disk.rename(partial, to: file)
        return count
    }

    private struct End: Decodable { let end: Int }
}
