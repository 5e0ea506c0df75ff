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
        let temporary = url.deletingLastPathComponent().appendingPathComponent(".\(UUID().uuidString)\(unfinished)")
        do {
            try create(url.deletingLastPathComponent())
            // Foundation would make this file by a second temporary one, which a kill leaves behind under a name of its own.
            let descriptor = open(temporary.path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw CocoaError(.fileWriteUnknown) }
            let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            defer { try? file.close() }
            try protect(temporary)
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

    private static let unfinished = ".tmp"
    private static let abandonedSeconds = 3_600.0

    /// Removes what ``replace`` left when it was killed. Another process may be writing now, so only what is old.
    static func removeAbandoned(in folder: URL) {
        let limit = Date(timeIntervalSinceNow: -abandonedSeconds)
        for file in files(in: folder) where file.lastPathComponent.hasPrefix(".") && file.path.hasSuffix(unfinished) {
            let written = (try? FileManager.default.attributesOfItem(atPath: file.path))?[.modificationDate] as? Date
            if let written, written < limit { remove(file) }
        }
    }

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
    private static func protect(_ file: URL) throws {
        #if os(iOS)
            try FileManager.default.setAttributes(
                [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication], ofItemAtPath: file.path)
        #endif
    }
}

/// One process at a time; a killed process loses its lock.
final class FolderLock: Sendable {
    private let descriptor: Int32

    /// Throws `busy` if another process (an app's extension) has the lock.
    init(_ folder: URL, name: String = ".lock") throws {
        try Disk.create(folder)
        let opened = open(folder.appendingPathComponent(name).path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard opened >= 0 else { throw LoopError(.diskFull, "\(folder.path): cannot write the file \(name)") }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            close(opened)
            throw LoopError(.busy, "\(folder.path): expected no other process that does the same, got one; try later")
        }
        descriptor = opened
    }

    deinit { close(descriptor) }
}
