import Foundation

/// A grey picture in rows, a byte a pixel.
public struct LoopPicture: Sendable, Equatable {
    public let width: Int
    public let height: Int
    /// `width` × `height` levels.
    public let grey: [UInt8]

    /// Throws `badImage` for an empty picture, or another number of levels than pixels.
    public init(width: Int, height: Int, grey: [UInt8]) throws {
        guard width > 0, height > 0, grey.count == width * height else {
            throw LoopError(.badImage, "expected \(width)×\(height) levels, got \(grey.count)")
        }
        (self.width, self.height, self.grey) = (width, height, grey)
    }
}

/// Sizes of the picture that a model sees.
enum Picture {
    static let side = 28
}

/// The strokes of a finger or pen, in points of any unit, in the order in which they were drawn.
public struct LoopDrawing: Sendable {
    public struct Point: Sendable, Equatable {
        public let x: Double
        public let y: Double
        public init(x: Double, y: Double) { (self.x, self.y) = (x, y) }
    }

    /// Each stroke has at least one point; a stroke of one point is a dot.
    public let strokes: [[Point]]
    /// The pen's width, in the unit of the points.
    public let penWidth: Double

    /// The canvas, in pixels.
    static let side = 256
    /// Black round the strokes, in pixels.
    static let margin = 28

    public init(strokes: [[Point]], penWidth: Double) { (self.strokes, self.penWidth) = (strokes, penWidth) }

    /// White strokes on a black canvas of 256 pixels a side, scaled so that the drawing fills it up to a margin. Throws
    /// `badImage` without a stroke, or for a coordinate that is not finite.
    ///
    /// A pixel's level is 255 times how much of it the pen covers: 1/2 plus the pen's radius minus the distance from the
    /// pixel's centre to the nearest stroke, from 0 to 1.
    public func picture() throws -> LoopPicture {
        let points = strokes.joined()
        guard !points.isEmpty, points.allSatisfy({ $0.x.isFinite && $0.y.isFinite }), penWidth > 0, penWidth.isFinite else {
            throw LoopError(.badImage, "expected at least one stroke of finite points, and a pen of some width")
        }
        let (xs, ys) = (points.map(\.x), points.map(\.y))
        let (left, right, top, bottom) = (xs.min() ?? 0, xs.max() ?? 0, ys.min() ?? 0, ys.max() ?? 0)
        let scale = Double(Self.side - 2 * Self.margin) / max(max(right - left, bottom - top), penWidth)
        let middle = Double(Self.side) / 2
        let placed = strokes.map { stroke in
            stroke.map {
                Point(x: middle + ($0.x - (left + right) / 2) * scale, y: middle + ($0.y - (top + bottom) / 2) * scale)
            }
        }
        // A pen wider than twice the margin would leave the canvas.
        let radius = min(penWidth * scale / 2, Double(Self.margin) - 1)
        var grey = [UInt8](repeating: 0, count: Self.side * Self.side)
        for stroke in placed where !stroke.isEmpty {
            for (start, end) in zip(stroke, stroke.dropFirst() + [stroke[stroke.count - 1]]) {
                Self.paint(start, end, radius, on: &grey)
            }
        }
        return try LoopPicture(width: Self.side, height: Self.side, grey: grey)
    }

    private static func paint(_ start: Point, _ end: Point, _ radius: Double, on grey: inout [UInt8]) {
        let reach = radius + 1
        func span(_ one: Double, _ other: Double) -> Range<Int> {
            max(0, Int(min(one, other) - reach))..<min(side, Int(max(one, other) + reach) + 1)
        }
        for y in span(start.y, end.y) {
            for x in span(start.x, end.x) {
                let distance = distance(Point(x: Double(x) + 0.5, y: Double(y) + 0.5), start, end)
                let covered = min(max(0.5 + radius - distance, 0), 1)
                grey[y * side + x] = max(grey[y * side + x], UInt8((covered * 255).rounded(.toNearestOrEven)))
            }
        }
    }

    private static func distance(_ point: Point, _ start: Point, _ end: Point) -> Double {
        let (dx, dy) = (end.x - start.x, end.y - start.y)
        let (px, py) = (point.x - start.x, point.y - start.y)
        let length = dx * dx + dy * dy
        let along = length > 0 ? min(max((px * dx + py * dy) / length, 0), 1) : 0
        let (ex, ey) = (px - along * dx, py - along * dy)
        return (ex * ex + ey * ey).squareRoot()
    }
}
