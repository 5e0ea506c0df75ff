import Foundation

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// Files, written whole or not at all.
enum Disk {
    /// Writes a temporary file, syncs it and renames it. Throws `diskFull`; then the old file remains.
    static func replace(_ url: URL, with data: Data) throws {
        let temporary = url.deletingLastPathComponent().appendingPathComponent(".\(UUID().uuidString).tmp")
        do {
            try create(url.deletingLastPathComponent())
            guard FileManager.default.createFile(atPath: temporary.path, contents: nil, attributes: attributes) else {
                throw CocoaError(.fileWriteUnknown)
            }
            let file = try FileHandle(forWritingTo: temporary)
            defer { try? file.close() }
            try file.write(contentsOf: data)
            try file.synchronize()
            try rename(temporary, to: url)
        } catch {
            remove(temporary)
            throw full(url, error)
        }
    }

    /// Renames over whatever is there, in one step, and syncs the folder.
    static func rename(_ from: URL, to: URL) throws {
        try create(to.deletingLastPathComponent())
        #if canImport(Darwin)
            let result = Darwin.rename(from.path, to.path)
        #else
            let result = Glibc.rename(from.path, to.path)
        #endif
        guard result == 0 else { throw full(to, CocoaError(.fileWriteUnknown)) }
        let folder = open(to.deletingLastPathComponent().path, O_RDONLY)
        guard folder >= 0 else { return }  // the rename itself is done; only its survival of a power cut is at stake
        fsync(folder)
        close(folder)
    }

    static func create(_ folder: URL) throws {
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch { throw full(folder, error) }
    }

    /// Removes a file; one that is not there is removed already.
    static func remove(_ url: URL) { try? FileManager.default.removeItem(at: url) }

    /// The files in a folder, by name; none if it does not exist.
    static func files(in folder: URL) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().map(folder.appendingPathComponent)
    }

    static func size(_ url: URL) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: url.path))?[.size].flatMap { ($0 as? NSNumber)?.intValue }
    }

    static func full(_ url: URL, _ error: any Error) -> LoopError {
        (error as? LoopError) ?? LoopError(.diskFull, "\(url.path): cannot write (\(error)); free some space and try again")
    }

    /// Uploads and syncs run in the background, with the screen locked.
    private static var attributes: [FileAttributeKey: Any] {
        #if os(iOS)
            [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication]
        #else
            [:]
        #endif
    }
}

/// One process at a time; a killed process loses its lock.
final class FolderLock: Sendable {
    private let descriptor: Int32

    /// Throws `busy` if another process (an app's extension) has the lock.
    init(_ folder: URL) throws {
        try Disk.create(folder)
        let opened = open(folder.appendingPathComponent(".lock").path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard opened >= 0 else { throw LoopError(.diskFull, "\(folder.path): cannot write the file .lock") }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            close(opened)
            throw LoopError(.busy, "\(folder.path): expected no other sync or upload, got one in another process; try later")
        }
        descriptor = opened
    }

    deinit { close(descriptor) }
}
