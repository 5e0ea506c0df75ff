extension LoopPicture {
    /// The 64 numbers of the family `svm` (`models/svm/tiles.py`): the ink's bounding box cut into 8×8 tiles, each averaged
    /// and scaled to 0 to 16, row by row from the top left. White ink on black; tiles share the pixels that their borders
    /// cross, in proportion.
    public func tiles() -> [Double] {
        let rows = (0..<height).map { y in (0..<width).contains { isInk(y, $0) } }
        let columns = (0..<width).map { x in (0..<height).contains { isInk($0, x) } }
        let (down, across) = (Tiles.shares(rows), Tiles.shares(columns))
        return down.flatMap { row in across.map { column in average(row, column) * Tiles.full } }
    }

    private func isInk(_ y: Int, _ x: Int) -> Bool { grey[y * width + x] >= Tiles.ink }

    private func average(_ row: [Double], _ column: [Double]) -> Double {
        var sum = 0.0
        for (y, down) in row.enumerated() where down > 0 {
            for (x, across) in column.enumerated() where across > 0 {
                sum += down * (Double(grey[y * width + x]) / 255) * across
            }
        }
        return sum
    }
}

enum Tiles {
    static let side = 8
    static let full = 16.0
    static let ink = 32

    /// How much of each row or column makes up each of the eight tiles. Without ink the box is the whole picture.
    static func shares(_ inked: [Bool]) -> [[Double]] {
        let first = Double(inked.firstIndex(of: true) ?? 0)
        let last = Double((inked.lastIndex(of: true) ?? inked.count - 1) + 1)
        let height = (last - first) / Double(side)
        return (0..<side).map { tile in
            let (from, to) = (first + height * Double(tile), first + height * Double(tile + 1))
            return inked.indices.map { max(0, min(to, Double($0 + 1)) - max(from, Double($0))) / height }
        }
    }
}
