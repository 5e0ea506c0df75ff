import Foundation

/// A half-open box of pixels.
struct Box: Equatable {
    var top: Int
    var bottom: Int
    var left: Int
    var right: Int

    func union(_ other: Box) -> Box {
        Box(
            top: min(top, other.top), bottom: max(bottom, other.bottom), left: min(left, other.left),
            right: max(right, other.right))
    }

    /// Pixels between two boxes; 0 where they overlap.
    func distance(to other: Box) -> Double {
        let down = max(top - other.bottom, other.top - bottom, 0), across = max(left - other.right, other.left - right, 0)
        return Double(down * down + across * across).squareRoot()
    }

    var longerSide: Int { max(bottom - top, right - left) }
}

/// Black-and-white pixels in rows, and which connected pieces of them are strokes of the digit (`loop/data/strokes.py`).
struct Mask {
    let width: Int
    let height: Int
    var values: [Bool]

    private struct Piece {
        var pixels: [Int]
        var box: Box
        var area: Int { pixels.count }
    }

    private enum Share {
        static let smallest = 0.0002, smallestPixels = 12.0
        static let speck = 0.1, dust = 0.01, near = 0.15, edge = 0.08
    }

    var any: Bool { values.contains(true) }

    /// The box round all of it; the mask is not empty.
    var box: Box {
        let inked = values.indices.filter { values[$0] }
        return inked.dropFirst().reduce(around(inked.first ?? 0)) { $0.union(around($1)) }
    }

    /// The mask and the ring of pixels round it.
    func grown() -> Mask {
        var made = self
        for i in values.indices where values[i] {
            for neighbour in neighbours(i) { made.values[neighbour] = true }
        }
        return made
    }

    /// The pieces that are the digit's; none if all of it is dust.
    ///
    /// A piece must be strong somewhere. Those of some size belong; small ones only near those; dust never.
    func piecesOfDigit(strong: Mask) -> Mask {
        let solid = pieces().filter { $0.pixels.contains { strong.values[$0] } }
        let largest = solid.map(\.area).max() ?? 0
        guard largest > 0, Double(largest) >= smallest else { return painted([]) }
        var kept = solid.filter { Double($0.area) >= Share.speck * Double(largest) }
        var small = solid.filter {
            let area = Double($0.area)
            return area < Share.speck * Double(largest) && area >= Share.dust * Double(largest)
        }
        while true {
            let found = kept.dropFirst().reduce(kept[0].box) { $0.union($1.box) }
            let reach = Share.near * Double(found.longerSide)
            let near = small.filter { $0.box.distance(to: found) <= reach }
            if near.isEmpty { return painted(kept) }
            kept += near
            small.removeAll { $0.box.distance(to: found) <= reach }
        }
    }

    /// The pieces that touch the edge and lie nine tenths in the strip along it; none where nothing else is left that could be
    /// a digit.
    func scannerBorders() -> Mask {
        func strip(_ side: Int) -> Int { max(2, Int((Share.edge * Double(side)).rounded(.toNearestOrEven))) }
        let (tall, wide) = (strip(height), strip(width))
        func isMiddle(_ i: Int) -> Bool {
            (tall..<max(tall, height - tall)).contains(i / width) && (wide..<max(wide, width - wide)).contains(i % width)
        }
        func isBorder(_ piece: Piece) -> Bool {
            let box = piece.box
            let atEdge = box.top == 0 || box.left == 0 || box.bottom == height || box.right == width
            return atEdge && Double(piece.pixels.count(where: isMiddle)) <= 0.1 * Double(piece.area)
        }
        let all = pieces(), borders = all.filter(isBorder)
        let others = all.filter { !isBorder($0) }.map(\.area).max() ?? 0
        return painted(Double(others) <= 2 * smallest ? [] : borders)
    }

    /// Pixels below which a piece cannot be a digit.
    private var smallest: Double {
        let size = Double(values.count)
        return max(Share.smallest * size, min(Share.smallestPixels, size / 50))
    }

    private func painted(_ pieces: [Piece]) -> Mask {
        var made = Mask(width: width, height: height, values: [Bool](repeating: false, count: values.count))
        for i in pieces.flatMap(\.pixels) { made.values[i] = true }
        return made
    }

    private func around(_ i: Int) -> Box {
        Box(top: i / width, bottom: i / width + 1, left: i % width, right: i % width + 1)
    }

    private func neighbours(_ i: Int) -> [Int] {
        let (y, x) = (i / width, i % width)
        return (max(0, y - 1)...min(height - 1, y + 1)).flatMap { v in
            (max(0, x - 1)...min(width - 1, x + 1)).map { v * width + $0 }
        }
    }

    /// Pixels that touch at a side or corner are one piece.
    private func pieces() -> [Piece] {
        var found = [Piece](), left = values
        for start in values.indices where left[start] {
            left[start] = false
            var piece = Piece(pixels: [start], box: around(start)), next = 0
            while next < piece.pixels.count {
                for i in neighbours(piece.pixels[next]) where left[i] {
                    left[i] = false
                    piece.pixels.append(i)
                    piece.box = piece.box.union(around(i))
                }
                next += 1
            }
            found.append(piece)
        }
        return found
    }
}
