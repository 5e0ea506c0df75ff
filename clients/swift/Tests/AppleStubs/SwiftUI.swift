// The part of SwiftUI that the example uses, declared as Apple documents it for iOS 15; for type-checking on Linux only.
// What a modifier returns is opaque there, and is a view here too. Layout and drawing are not checked.
import Foundation

@MainActor @preconcurrency public protocol View {
    associatedtype Body: View
    @ViewBuilder @MainActor @preconcurrency var body: Body { get }
}
extension Never: View { public var body: Never { return fatalError("declared only") } }

public struct Made: View { public var body: Never { return fatalError("declared only") } }

@resultBuilder public enum ViewBuilder {
    public static func buildBlock<each Content: View>(_ content: repeat each Content) -> Made { fatalError("declared only") }
    public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
    public static func buildEither<Yes: View>(first: Yes) -> Made { fatalError("declared only") }
    public static func buildEither<No: View>(second: No) -> Made { fatalError("declared only") }
}
extension Optional: View where Wrapped: View { public var body: Never { return fatalError("declared only") } }

@MainActor @preconcurrency public protocol Scene {
    associatedtype Body: Scene
    @SceneBuilder @MainActor @preconcurrency var body: Body { get }
}
extension Never: Scene {}
@resultBuilder public enum SceneBuilder { public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content } }
public struct WindowGroup<Content: View>: Scene {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { return fatalError("declared only") }
}
@MainActor @preconcurrency public protocol App {
    associatedtype Body: Scene
    @SceneBuilder @MainActor @preconcurrency var body: Body { get }
    @MainActor @preconcurrency init()
}
extension App { @MainActor @preconcurrency public static func main() { fatalError("declared only") } }

// MARK: State

public protocol ObservableObject: AnyObject {}
@propertyWrapper public struct Published<Value> {
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
    public var wrappedValue: Value
}
@MainActor @preconcurrency @propertyWrapper public struct StateObject<Value: ObservableObject> {
    public nonisolated init(wrappedValue: @autoclosure @escaping () -> Value) {}
    public var wrappedValue: Value { fatalError("declared only") }
}
@MainActor @preconcurrency @propertyWrapper public struct ObservedObject<Value: ObservableObject> {
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
    public var wrappedValue: Value
}
@propertyWrapper public struct State<Value> {
    public init(wrappedValue: Value) {}
    public var wrappedValue: Value {
        get { fatalError("declared only") }
        nonmutating set { fatalError("declared only") }
    }
}

// MARK: Views

public struct Text: View {
    public init<Words: StringProtocol>(_ words: Words) {}
    public var body: Never { return fatalError("declared only") }
}
public struct Spacer: View {
    public init() {}
    public var body: Never { return fatalError("declared only") }
}
public struct Button<Label: View>: View {
    public init<Words: StringProtocol>(_ title: Words, action: @escaping @MainActor () -> Void) where Label == Text {}
    public var body: Never { return fatalError("declared only") }
}
public struct HStack<Content: View>: View {
    public init(spacing: Double? = nil, @ViewBuilder content: () -> Content) {}
    public var body: Never { return fatalError("declared only") }
}
public struct VStack<Content: View>: View {
    public init(spacing: Double? = nil, @ViewBuilder content: () -> Content) {}
    public var body: Never { return fatalError("declared only") }
}
public struct List<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { return fatalError("declared only") }
}
public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: View {
    public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
    public var body: Never { return fatalError("declared only") }
}
public struct Canvas: View {
    public init(renderer: @escaping (inout GraphicsContext, CGSize) -> Void) {}
    public var body: Never { return fatalError("declared only") }
}

// MARK: Drawing

public struct Color: View, Sendable {
    public static let black = Color()
    public static let white = Color()
    public var body: Never { return fatalError("declared only") }
}
public struct Path {
    public init() {}
    public mutating func move(to point: CGPoint) {}
    public mutating func addLine(to point: CGPoint) {}
}
public enum CGLineCap: Sendable { case butt, round, square }
public struct StrokeStyle: Sendable { public init(lineWidth: Double = 1, lineCap: CGLineCap = .butt) {} }
public struct GraphicsContext {
    public struct Shading { public static func color(_ color: Color) -> Shading { fatalError("declared only") } }
    public func stroke(_ path: Path, with shading: Shading, style: StrokeStyle) {}
}

// MARK: Modifiers

@MainActor @preconcurrency public protocol Gesture { associatedtype Value }
public struct DragGesture: Gesture {
    public struct Value: Sendable { public var location: CGPoint { fatalError("declared only") } }
    public nonisolated init(minimumDistance: Double = 10) {}
}
public struct Ended<Value>: Gesture {}
extension Gesture {
    public func onChanged(_ action: @escaping @MainActor (Value) -> Void) -> Ended<Value> { fatalError("declared only") }
    public func onEnded(_ action: @escaping @MainActor (Value) -> Void) -> Ended<Value> { fatalError("declared only") }
}
public struct Font: Sendable {
    public static let largeTitle = Font()
    public static let footnote = Font()
}
extension View {
    public func gesture<T: Gesture>(_ gesture: T) -> some View { self }
    public func task(_ action: @escaping @MainActor @Sendable () async -> Void) -> some View { self }
    public func font(_ font: Font?) -> some View { self }
    public func padding() -> some View { self }
    public func disabled(_ disabled: Bool) -> some View { self }
    public func background<Background: View>(_ background: Background) -> some View { self }
    public func frame(width: Double? = nil, height: Double? = nil) -> some View { self }
}
