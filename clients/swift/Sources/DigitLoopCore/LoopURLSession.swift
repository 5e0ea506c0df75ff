import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking

    private typealias Completion<Value> = (Value) -> Void
#else
    // Apple's protocol asks for `@Sendable`, Linux's refuses it.
    private typealias Completion<Value> = @Sendable (Value) -> Void
#endif

/// Requests through `URLSession`. Bodies arrive in pieces, redirects are not followed.
///
/// A configuration can be given, for example one that waits for Wi-Fi or has a proxy. Bodies are not cached and cookies not
/// kept: documents are signed, models are kept by their digest.
public final class LoopURLSession: LoopHTTP {
    private let session: URLSession
    private let receiver = Receiver()

    /// `timeout`: seconds without a byte after which a request fails.
    public init(configuration: URLSessionConfiguration = .ephemeral, timeout: TimeInterval = 20) {
        configuration.timeoutIntervalForRequest = timeout
        configuration.httpCookieStorage = nil
        configuration.urlCache = nil
        session = URLSession(configuration: configuration, delegate: receiver, delegateQueue: nil)
    }

    /// A session keeps its delegate until it is invalidated.
    deinit { session.finishTasksAndInvalidate() }

    public func send(_ request: LoopRequest) async throws -> LoopResponse {
        var made = URLRequest(url: request.url)
        made.httpMethod = request.method
        for (name, value) in request.headers { made.setValue(value, forHTTPHeaderField: name) }
        made.httpBody = request.body
        let task = session.dataTask(with: made)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { receiver.start(task, $0) }
        } onCancel: {
            task.cancel()
        }
    }
}

/// The session's delegate: turns callbacks into one head and a stream of pieces for each task.
private final class Receiver: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    private enum Stage {
        case waiting(CheckedContinuation<LoopResponse, any Error>)
        case receiving(AsyncThrowingStream<Data, any Error>.Continuation)
    }

    // @unchecked Sendable: `stages` is only touched under `lock`.
    private let lock = NSLock()
    private var stages = [Int: Stage]()

    func start(_ task: URLSessionDataTask, _ continuation: CheckedContinuation<LoopResponse, any Error>) {
        lock.withLock { stages[task.taskIdentifier] = .waiting(continuation) }
        task.resume()
    }

    func urlSession(
        _: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping Completion<URLSession.ResponseDisposition>
    ) {
        let (body, pieces) = AsyncThrowingStream.makeStream(of: Data.self, throwing: (any Error).self)
        pieces.onTermination = { _ in dataTask.cancel() }
        let before = lock.withLock { stages.updateValue(.receiving(pieces), forKey: dataTask.taskIdentifier) }
        guard case .waiting(let continuation)? = before, let head = response as? HTTPURLResponse else {
            return completionHandler(.cancel)
        }
        let headers = head.allHeaderFields.compactMap { name, value in (name as? String).map { ($0, "\(value)") } }
        let answer = LoopResponse(
            status: head.statusCode, headers: Dictionary(headers, uniquingKeysWith: { first, _ in first }), body: body)
        completionHandler(.allow)
        continuation.resume(returning: answer)
    }

    func urlSession(_: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        if case .receiving(let pieces)? = lock.withLock({ stages[dataTask.taskIdentifier] }) { pieces.yield(data) }
    }

    func urlSession(_: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let failure = error.map { error in
            let isSlow = (error as? URLError)?.code == .timedOut
            return LoopError(isSlow ? .tooSlow : .unavailable, "the server does not answer (\(error.localizedDescription))")
        }
        switch lock.withLock({ stages.removeValue(forKey: task.taskIdentifier) }) {
        case .waiting(let continuation)?:
            continuation.resume(throwing: failure ?? LoopError(.unavailable, "the server closed the connection"))
        case .receiving(let pieces)?: pieces.finish(throwing: failure)
        case nil: break
        }
    }

    func urlSession(
        _: URLSession, task _: URLSessionTask, willPerformHTTPRedirection _: HTTPURLResponse, newRequest _: URLRequest,
        completionHandler: @escaping Completion<URLRequest?>
    ) {
        completionHandler(nil)
    }
}
