import CMortal
import DigitLoopCore
import Foundation
import Libcrypto

/// A device without a screen: each line of input is a command in JSON, each line of output its answer. Python's tests drive it
/// at real servers (tests/clients/phone.py).
@main
struct Phone {
    static func main() async {
        var device = Phone()
        await device.run()
    }

    private let clock = SetClock()
    private var phone: LoopPhone?
    private var outbox: LoopOutbox?

    private mutating func run() async {
        while let line = readLine() {
            var answer: Answer
            do {
                answer = try await perform(JSONDecoder().decode(Command.self, from: Data(line.utf8)))
            } catch { answer = Answer(error) }
            guard let said = try? JSONEncoder().encode(answer) else { return }
            FileHandle.standardOutput.write(said + Data("\n".utf8))
        }
    }

    private mutating func perform(_ command: Command) async throws -> Answer {
        switch command.do {
        case .phone, .outbox, .time, .die, .steps: return try await prepare(command)
        case .sync, .read, .consider: return try await followFeed(command)
        default: return try await send(command)
        }
    }

    private mutating func prepare(_ command: Command) async throws -> Answer {
        var answer = Answer()
        switch command.do {
        case .phone:
            let opened = try LoopPhone(
                site: command.needed(\.site), folder: URL(fileURLWithPath: command.needed(\.folder)),
                root: command.needed(\.root), channel: command.channel ?? "cnn.mlmodel",
                ios: command.ios.map { ($0[0], $0[1]) }, services: services(command))
            answer.current = await opened.current?.version
            phone = opened
        case .outbox:
            let folder = URL(fileURLWithPath: try command.needed(\.folder))
            outbox = try LoopOutbox(
                api: command.needed(\.api), folder: folder, key: command.needed(\.key),
                secrets: SecretFile(file: folder.appendingPathComponent("secret")), services: services(command),
                batch: LoopBatchLimits(corrections: command.batch ?? 100))
            answer.waiting = await outbox?.waiting
        case .time: clock.set(command.now.map(Date.init(timeIntervalSince1970:)))
        case .die: mortal_die_at(try command.needed(\.at))
        default: answer.steps = mortal_steps()
        }
        return answer
    }

    private func services(_ command: Command) -> LoopServices {
        LoopServices(
            cryptography: Libcrypto(), models: HelperLoader(helper: command.helper ?? URL(fileURLWithPath: "/")),
            http: LoopURLSession(timeout: command.timeout ?? 20), clock: clock,
            timeouts: LoopTimeouts(seconds: command.timeout ?? 30, bytesPerSecond: command.bytesPerSecond ?? 1000))
    }

    private func followFeed(_ command: Command) async throws -> Answer {
        guard let phone else { throw LoopError(.badField, "expected a command phone first") }
        switch command.do {
        case .sync:
            var answer = Answer(try await phone.sync())
            (answer.confirmRate, answer.asking) = (await phone.confirmRate, await phone.asking != nil)
            return answer
        case .read:
            var answer = Answer()
            guard let loaded = try await phone.model() else { return answer }
            answer.version = loaded.held.version
            answer.probabilities = try await loaded.model.probabilities([UInt8](command.needed(\.pixels)))
            return answer
        default:
            let found = try await phone.consider(
                [UInt8](command.needed(\.pixels)), probabilities: command.needed(\.probabilities))
            return Answer(found)
        }
    }

    private func send(_ command: Command) async throws -> Answer {
        guard let outbox else { throw LoopError(.badField, "expected a command outbox first") }
        var answer = Answer()
        switch command.do {
        case .add:
            try await outbox.add(command.upload())
            answer.waiting = await outbox.waiting
        case .upload: answer = Answer(try await outbox.upload())
        case .undo: answer = Answer(try await outbox.undo(command.needed(\.key)))
        case .erase: answer.erased = try await outbox.erase().uploads
        case .history: answer = Answer(try await outbox.history(before: command.before))
        default: answer.exported = try await outbox.export(to: URL(fileURLWithPath: command.needed(\.file)))
        }
        return answer
    }
}
