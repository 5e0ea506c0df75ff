// An app that reads digits and learns from its users: draw, read, correct, undo, and see what became of it.
//
// In Xcode: a new iOS app, this repository as a package, these two files in place of the app's own, and app-root.json (from
// `loop feed keys --create --save-root app-root.json`) in its bundle. docs/app.md has every step.

import DigitLoop
import Foundation
import SwiftUI

@main struct ExampleApp: App {
    @StateObject private var notebook = ExampleApp.notebook()

    var body: some Scene {
        WindowGroup { NotebookView(notebook: notebook) }
    }

    /// A build without the root document, or a folder that cannot be written, is a mistake of the developer.
    private static func notebook() -> Notebook {
        do {
            guard let file = Bundle.main.url(forResource: "app-root", withExtension: "json"),
                let server = URL(string: "https://api.example")
            else { fatalError("expected app-root.json in the app's bundle; add it to the target") }
            let support = try FileManager.default.url(
                for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
            return try Notebook(server: server, key: "loop_app_…", root: Data(contentsOf: file), folder: support)
        } catch { fatalError("the notebook does not open: \(error)") }
    }
}

struct NotebookView: View {
    @ObservedObject var notebook: Notebook

    var body: some View {
        VStack(spacing: 12) {
            pad
            if let page = notebook.page {
                Text("\(page.reading.best.digit)").font(.largeTitle)
                if let found = page.question, found.askNow {
                    question(found.best)
                } else {
                    keys(page)
                }
            }
            Text(notebook.status).font(.footnote)
            Text(notebook.version.map { "reads with version \($0)" } ?? "no model yet").font(.footnote)
            became
            Button("Erase everything that I sent") { Task { await notebook.erase() } }
        }
        .padding()
        .task { await notebook.refresh() }
    }

    /// White ink on black, as the model sees it.
    private var pad: some View {
        Canvas { context, _ in
            for stroke in notebook.strokes {
                var path = Path()
                path.move(to: stroke[0])
                for point in stroke { path.addLine(to: point) }
                context.stroke(path, with: .color(.white), style: StrokeStyle(lineWidth: Notebook.penWidth, lineCap: .round))
            }
        }
        .frame(width: 280, height: 280)
        .background(Color.black)
        .gesture(
            DragGesture(minimumDistance: 0)
                .onChanged { draw($0.location) }
                .onEnded { _ in
                    inStroke = false
                    Task { await notebook.read() }
                })
    }

    @State private var inStroke = false

    private func draw(_ point: CGPoint) {
        if inStroke { notebook.strokes[notebook.strokes.count - 1].append(point) } else { notebook.strokes.append([point]) }
        inStroke = true
    }

    private func keys(_ page: Notebook.Page) -> some View {
        VStack(spacing: 8) {
            HStack(spacing: 8) {
                ForEach(Array(0...9), id: \.self) { digit in
                    Button("\(digit)") { Task { await notebook.say(digit) } }
                }
            }
            HStack(spacing: 24) {
                Button("Undo") { Task { await notebook.undo() } }.disabled(page.word == nil)
                Button("Next") { Task { await notebook.next() } }
            }
        }
    }

    private func question(_ best: LoopTwoBest) -> some View {
        HStack(spacing: 24) {
            Text("A \(best.digit) or a \(best.second)?")
            Button("\(best.digit)") { Task { await notebook.answer(best.digit) } }
            Button("\(best.second)") { Task { await notebook.answer(best.second) } }
            Button("Skip") { Task { await notebook.answer(nil) } }
        }
    }

    /// What became of the last corrections: counted, replaced by a later word, taken back; the versions made with them.
    private var became: some View {
        List {
            ForEach(notebook.history, id: \.id) { sent in
                Text("\(sent.label.map(String.init) ?? "a drawing"): \(sent.status)\(versions(sent.considered))")
            }
        }
    }

    private func versions(_ considered: [Int]) -> String {
        considered.isEmpty ? "" : ", considered for version \(considered.map(String.init).joined(separator: ", "))"
    }
}
