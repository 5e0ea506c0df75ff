import Foundation

/// What an answer means for one correction (the table in docs/api.md).
enum Fate: Sendable, Equatable {
    /// It is on the server's disk.
    case accepted
    /// The same request is never accepted.
    case refused(type: String)
    /// Send the same again, after so many seconds if the answer has them.
    case later(seconds: Int?)

    init(status: Int, problem: Problem?, retryAfter: Int?) {
        switch status {
        case 200..<300: self = .accepted
        case 400, 410, 413, 415, 422: self = .refused(type: problem?.type ?? "status \(status)")
        default: self = .later(seconds: retryAfter ?? problem?.retry_after)
        }
    }
}

/// What an answer means for a batch.
enum BatchFate: Sendable {
    /// One answer for each correction, in order.
    case answers([Fate])
    /// Too long or not readable: send its halves.
    case split
    case later(seconds: Int?)
}

/// An RFC 9457 problem document, the fields that this package reads.
struct Problem: Decodable, Sendable {
    let type: String
    let retry_after: Int?
}

/// The server's upload API.
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

    func send(_ body: Data, key: String, _ secret: String) async -> Fate {
        guard let answer = await answer("POST", "v1/corrections", secret, body, ["Idempotency-Key": key]) else {
            return .later(seconds: nil)
        }
        return Fate(status: answer.status, problem: answer.decoded(), retryAfter: answer.retryAfter)
    }

    func send(batch: [Data], _ secret: String) async -> BatchFate {
        let body = Data(#"{"corrections":["#.utf8) + Data(batch.joined(separator: Data(",".utf8))) + Data("]}".utf8)
        guard let answer = await answer("POST", "v1/corrections:batch", secret, body) else { return .later(seconds: nil) }
        if answer.status == 200, let found: Answers = answer.decoded() {
            return .answers(found.answers.map { Fate(status: $0.status, problem: $0.problem, retryAfter: nil) })
        }
        let problem: Problem? = answer.decoded()
        // A proxy's own 413 has no type: halves are what it lets through.
        if answer.status == 413 || (answer.status == 400 && problem?.type == Self.splitBatch) { return .split }
        return .later(seconds: answer.retryAfter ?? problem?.retry_after)
    }

    /// Throws `unavailable` unless the server has erased the source.
    func erase(_ secret: String) async throws {
        let answer = await answer("DELETE", "v1/sources/\(source(secret))", secret, nil)
        guard let answer, answer.status == 200 else {
            let got = answer.map { "status \($0.status)" } ?? "none"
            throw LoopError(.unavailable, "erasure: expected an answer with status 200, got \(got); it is tried again")
        }
    }

    private struct Answers: Decodable {
        struct Answer: Decodable {
            let status: Int
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

    /// The whole answer; nil if there is none, or if it breaks off.
    private func answer(
        _ method: String, _ path: String, _ secret: String, _ body: Data?, _ more: [String: String] = [:]
    ) async -> Answer? {
        var request = LoopRequest(method, api.appendingPathComponent(path), headers: more, body: body)
        request.headers["Authorization"] = "Bearer \(key)"
        request.headers["Loop-Source"] = secret
        if body != nil { request.headers["Content-Type"] = "application/json" }
        guard let response = try? await http.send(request) else { return nil }
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
