#if canImport(CoreML)
    import DigitLoopCore
    import Foundation

    #if canImport(FoundationNetworking)
        import FoundationNetworking  // where this file is only type-checked
    #endif

    /// Uploads that go on while the app is suspended, for an outbox's ``LoopServices/http``.
    ///
    /// Uploads are sent from files, as the system demands; requests without a body are answered while the app runs, or not. An upload that ends after the app was ended has nobody who waits:
    /// its correction is still in the outbox, is sent again with the same key, and gets the first answer again.
    public final class LoopBackgroundSession: NSObject, LoopHTTP, URLSessionDataDelegate, @unchecked Sendable {
        // @unchecked Sendable: everything below is only touched under `lock`.
        private struct Upload {
            let file: URL
            let continuation: CheckedContinuation<LoopResponse, any Error>
            var received = Data()
        }

        private let lock = NSLock()
        private var uploads = [Int: Upload]()
        private var finished: (@Sendable () -> Void)?
        private var session: URLSession?
        private let foreground = LoopURLSession()

        /// `identifier`: one session of that name in the whole app, the same at each launch.
        public init(identifier: String = "digit-loop") {
            super.init()
            let configuration = Self.configuration(identifier)
            configuration.httpCookieStorage = nil
            let made = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
            lock.withLock { session = made }
        }

        /// Call this in `application(_:handleEventsForBackgroundURLSession:completionHandler:)`.
        public func whenEventsAreHandled(_ completion: @escaping @Sendable () -> Void) {
            lock.withLock { finished = completion }
        }

        public func send(_ request: LoopRequest) async throws -> LoopResponse {
            guard let body = request.body else { return try await foreground.send(request) }
            let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).upload")
            try body.write(to: file)
            var made = URLRequest(url: request.url)
            made.httpMethod = request.method
            for (name, value) in request.headers { made.setValue(value, forHTTPHeaderField: name) }
            return try await withCheckedThrowingContinuation { continuation in
                let task = lock.withLock {
                    let task = session?.uploadTask(with: made, fromFile: file)
                    if let task { uploads[task.taskIdentifier] = Upload(file: file, continuation: continuation) }
                    return task
                }
                guard let task else { return continuation.resume(throwing: LoopError(.unavailable, "the session has ended")) }
                task.resume()
            }
        }

        public func urlSession(_: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
            lock.withLock { uploads[dataTask.taskIdentifier]?.received.append(data) }
        }

        public func urlSession(_: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
            guard let upload = lock.withLock({ uploads.removeValue(forKey: task.taskIdentifier) }) else { return }
            try? FileManager.default.removeItem(at: upload.file)
            guard error == nil, let head = task.response as? HTTPURLResponse else {
                let reason = error?.localizedDescription ?? "no answer"
                return upload.continuation.resume(throwing: LoopError(.unavailable, "the server does not answer (\(reason))"))
            }
            upload.continuation.resume(returning: Self.answer(head, upload.received))
        }

        public func urlSessionDidFinishEvents(forBackgroundURLSession _: URLSession) {
            let completion = lock.withLock {
                defer { finished = nil }
                return finished
            }
            if let completion { DispatchQueue.main.async(execute: completion) }
        }

        private static func configuration(_ identifier: String) -> URLSessionConfiguration {
            #if canImport(FoundationNetworking)
                .default  // type-checked only: Linux has no background sessions
            #else
                .background(withIdentifier: identifier)
            #endif
        }

        private static func answer(_ head: HTTPURLResponse, _ data: Data) -> LoopResponse {
            let headers = head.allHeaderFields.compactMap { name, value in (name as? String).map { ($0, "\(value)") } }
            let body = AsyncThrowingStream<Data, any Error> { pieces in
                pieces.yield(data)
                pieces.finish()
            }
            return LoopResponse(
                status: head.statusCode, headers: Dictionary(headers, uniquingKeysWith: { first, _ in first }), body: body)
        }
    }
#endif
