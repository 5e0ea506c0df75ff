import Foundation

@testable import DigitLoopCore

/// The upload API in memory: one function decides each answer; nil is none.
final class UploadAPI: LoopHTTP, @unchecked Sendable {
    typealias Answer = @Sendable (LoopRequest) -> (Int, [String: String], String)?
    private let lock = NSLock()
    private var received = [LoopRequest]()
    private var answering: Answer

    init(_ answer: @escaping Answer) { answering = answer }

    /// What decides from now on.
    var answer: Answer {
        get { lock.withLock { answering } }
        set { lock.withLock { answering = newValue } }
    }
    var requests: [LoopRequest] { lock.withLock { received } }
    func keys(_ index: Int) -> [String] { (try? Self.keys(requests[index])) ?? [] }

    /// The keys of a batch, in order.
    static func keys(_ request: LoopRequest) throws -> [String] {
        struct Batch: Decodable {
            struct Correction: Decodable { let key: String }
            let corrections: [Correction]
        }
        return try JSONDecoder().decode(Batch.self, from: request.body ?? Data()).corrections.map(\.key)
    }

    func send(_ request: LoopRequest) async throws -> LoopResponse {
        lock.withLock { received.append(request) }
        await Task.yield()
        guard let (status, headers, body) = answer(request) else { throw LoopError(.unavailable, "offline") }
        return LoopResponse(
            status: status, headers: headers,
            body: AsyncThrowingStream { pieces in
                pieces.yield(Data(body.utf8))
                pieces.finish()
            })
    }
}

/// Always the same secret; counts how often it was to be forgotten.
final class CountedSecret: LoopSecretKeeping {
    private let count = Counter()
    var forgotten: Int { count.value }
    func secret() throws -> String { String(repeating: "A", count: 43) }
    func forget() throws { _ = count.next() }
}
