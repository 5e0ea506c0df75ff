import Foundation

extension LoopPicture {
    /// The picture as MNIST has it: 784 bytes in rows of 28, white ink (255) on black, as `loop/data/ink.py` makes it on the
    /// server, byte for byte. Any polarity and size. Throws `badImage` when no ink stands out of the paper.
    ///
    /// Shadows are not taken away: the server does that for photos in which it finds no digit, or one along the border. Send
    /// such a photo as it is. `docs/vectors.md` describes each step, and where single precision counts.
    public func normalised() throws -> [UInt8] {
        let plane = Plane(workingSize())
        var rise = plane.riseOverPaper()
        let noise = rise.noise()
        let outstanding = rise.mask(over: max(Ink.minContrast, Ink.noiseSigmas * noise))
        let borders = outstanding.scannerBorders()
        if borders.any {
            let grown = borders.grown()
            for i in rise.values.indices where grown.values[i] { rise.values[i] = 0 }
        }
        let level = try rise.inkLevel(outstanding, without: borders)
        let strong = Ink.strong * Double(level)
        let weak = rise.mask(over: max(Ink.weak * Double(level), min(Ink.noiseSigmas * noise, strong)))
        let ink = weak.piecesOfDigit(strong: rise.mask(over: strong))
        guard ink.any else { throw LoopError(.badImage, "the image holds only dust, expected a stroke") }
        let near = ink.grown()
        for i in rise.values.indices {
            rise.values[i] = near.values[i] ? min(max(rise.values[i] / level, 0), 1) : 0
        }
        return rise.cropped(to: ink.box).fitted().centred()
    }
}

/// The constants of `loop/data/ink.py` and `light.py`.
enum Ink {
    static let box = 20
    static let centre = 14
    static let workingSide = 512
    static let minContrast = 8.0
    static let noiseSigmas = 4.0
    static let weak = 0.25
    static let strong = 0.5
    static let boldShare = 0.25
    static let unevenGreyLevels = 4.0
    static let fullInkQuantile = 0.9
}

/// Levels in single precision, in rows.
struct Plane {
    var width: Int
    var height: Int
    var values: [Float]

    init(width: Int, height: Int, values: [Float]) { (self.width, self.height, self.values) = (width, height, values) }

    init(_ picture: LoopPicture) {
        self.init(width: picture.width, height: picture.height, values: picture.grey.map(Float.init))
    }

    subscript(y: Int, x: Int) -> Float { values[y * width + x] }

    func mask(over threshold: Double) -> Mask {
        let least = Float(threshold)
        return Mask(width: width, height: height, values: values.map { $0 > least })
    }

    func cropped(to box: Box) -> Plane {
        let rows = (box.top..<box.bottom).flatMap { values[($0 * width + box.left)..<($0 * width + box.right)] }
        return Plane(width: box.right - box.left, height: box.bottom - box.top, values: rows)
    }

    // MARK: Paper and ink

    /// How far each pixel is from the paper's level towards the ink's.
    func riseOverPaper() -> Plane {
        var plane = evenlyLit()
        var paper = Statistics.median(plane.values)
        let border = Statistics.median(plane.border)
        let nearer = plane.values.count { abs($0 - paper) <= abs($0 - border) }
        if Double(nearer) / Double(plane.values.count) < 0.6 { paper = border }
        plane.values = plane.values.map { $0 - paper }
        let sum = plane.values.reduce(0.0) { $0 + Double($1 * $1 * $1) }
        if sum <= 0 { plane.values = plane.values.map { -$0 } }
        return plane
    }

    private var border: [Float] {
        let columns = (0..<height).flatMap { [self[$0, 0], self[$0, width - 1]] }
        return Array(values.prefix(width) + values.suffix(width)) + columns
    }

    /// The paper's standard deviation, from the lower quartile of distances; 0 where the ink is bold.
    func noise() -> Double {
        let distance = values.map { abs($0) }
        let half = 0.5 * (distance.max() ?? 0)
        if Double(distance.count { $0 > half }) / Double(distance.count) > Ink.boldShare { return 0 }
        return Double(distance.sorted()[distance.count / 4]) / 0.3186
    }

    /// The level of full ink: the upper quartile of all that stands out of the paper.
    func inkLevel(_ outstanding: Mask, without borders: Mask) throws -> Float {
        let inked = values.indices.filter { outstanding.values[$0] && !borders.values[$0] }.map { values[$0] }
        guard !inked.isEmpty else { throw LoopError(.badImage, "the image is blank: no ink is clear of the paper") }
        return Statistics.quantile(inked, 0.75)
    }

    /// The plane less a slope of the light across the paper, where there evidently is one.
    private func evenlyLit() -> Plane {
        let spread = lessMedian(values.map(Double.init)).noise()
        guard spread >= Ink.unevenGreyLevels else { return self }
        let rest = lessSlope()
        let flat = lessMedian(rest)
        return flat.noise() < 0.5 * spread ? Plane(width: width, height: height, values: rest.map(Float.init)) : self
    }

    private func lessMedian(_ levels: [Double]) -> Plane {
        let single = levels.map(Float.init), median = Statistics.median(single)
        return Plane(width: width, height: height, values: single.map { $0 - median })
    }

    /// Less a least-squares plane, fitted four times to what lies within two deviations of the last.
    private func lessSlope() -> [Double] {
        func place(_ i: Int, of count: Int) -> Double { count > 1 ? -1 + 2 * Double(i) / Double(count - 1) : -1 }
        let terms = (0..<height).flatMap { y in
            (0..<width).map { x in [place(y, of: height), place(x, of: width), 1.0] }
        }
        var near = [Bool](repeating: true, count: values.count)
        var rest = values.map(Double.init)
        for _ in 0..<4 {
            let slope = LeastSquares.fit(terms, values.map(Double.init), near)
            rest = values.indices.map { i in Double(values[i]) - zip(terms[i], slope).reduce(0) { $0 + $1.0 * $1.1 } }
            let deviation = max(1, 1.4826 * Statistics.median(rest.map { abs($0) }))
            near = rest.map { abs($0) <= 2 * deviation }
        }
        return rest
    }

    // MARK: Placing

    /// The box of the ink, resized so that its longer side is 20, its ink scaled to 0 to 1.
    func fitted() -> Plane {
        let scale = Double(Ink.box) / Double(max(height, width))
        func length(_ side: Int) -> Int { max(1, Int((Double(side) * scale).rounded(.toNearestOrEven))) }
        var plane = resized(width: length(width), height: length(height))
        plane.values = plane.values.map { max($0, 0) }
        let half = 0.5 * (plane.values.max() ?? 0)
        let full = Statistics.quantile(plane.values.filter { $0 > half }, Ink.fullInkQuantile)
        plane.values = plane.values.map { min($0 / full, 1) }
        return plane
    }

    /// On a black 28×28, its centre of mass at index 14 on both axes, by whole pixels; the shift stops at the frame.
    func centred() -> [UInt8] {
        let levels = values.map { Int(($0 * 255).rounded(.toNearestOrEven)) }
        var (mass, down, across) = (0, 0, 0)
        for (i, level) in levels.enumerated() {
            (mass, down, across) = (mass + level, down + level * (i / width), across + level * (i % width))
        }
        func start(_ moment: Int, _ length: Int) -> Int {
            let shift = (Double(Ink.centre) - Double(moment) / Double(mass)).rounded(.toNearestOrEven)
            return min(max(Int(shift), 0), Picture.side - length)
        }
        let (top, left) = (start(down, height), start(across, width))
        var frame = [UInt8](repeating: 0, count: Picture.side * Picture.side)
        for (i, level) in levels.enumerated() {
            frame[(top + i / width) * Picture.side + left + i % width] = UInt8(level)
        }
        return frame
    }
}

extension LoopPicture {
    /// Averaged down by a whole factor so that no side is over 512. The boxes at the right and bottom edge may be smaller.
    fileprivate func workingSize() -> LoopPicture {
        let factor = (max(width, height) + Ink.workingSide - 1) / Ink.workingSide
        guard factor > 1 else { return self }
        func boxes(_ length: Int) -> [Range<Int>] {
            stride(from: 0, to: length, by: factor).map { $0..<min($0 + factor, length) }
        }
        let (columns, rows) = (boxes(width), boxes(height))
        let levels = rows.flatMap { ys in columns.map { xs in average(xs, ys) } }
        return (try? LoopPicture(width: columns.count, height: rows.count, grey: levels)) ?? self
    }

    /// Pillow's mean of a box: rounded, by a multiplication with a rounded-down reciprocal.
    private func average(_ xs: Range<Int>, _ ys: Range<Int>) -> UInt8 {
        let count = xs.count * ys.count
        let sum = ys.reduce(0) { sum, y in sum + grey[(y * width + xs.lowerBound)..<(y * width + xs.upperBound)].reduce(0) { $0 + Int($1) } }
        return UInt8(((sum + count / 2) * ((1 << 24) / count)) >> 24)
    }
}
