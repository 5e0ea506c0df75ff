import Foundation

/// Order statistics as NumPy computes them.
enum Statistics {
    /// The middle value, or the mean of the two.
    static func median<Number: BinaryFloatingPoint>(_ values: [Number]) -> Number {
        let sorted = values.sorted(), half = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
    }

    /// The quantile, interpolated linearly between neighbours: the place in double precision, the value in single.
    static func quantile(_ values: [Float], _ share: Double) -> Float {
        let sorted = values.sorted(), place = share * Double(sorted.count - 1), low = Int(place)
        let (a, b) = (sorted[low], sorted[min(low + 1, sorted.count - 1)])
        let part = place - Double(low)
        return part >= 0.5 ? b - (b - a) * Float(1 - part) : a + (b - a) * Float(part)
    }
}

/// Least squares with three terms.
enum LeastSquares {
    /// The coefficients that fit `levels` best where `near` is true. A term that does not vary there gets 0.
    static func fit(_ terms: [[Double]], _ levels: [Double], _ near: [Bool]) -> [Double] {
        var rows = [[Double]](repeating: [Double](repeating: 0, count: 4), count: 3)
        for (i, term) in terms.enumerated() where near[i] {
            for j in 0..<3 {
                for k in 0..<3 { rows[j][k] += term[j] * term[k] }
                rows[j][3] += term[j] * levels[i]
            }
        }
        return solve(rows)
    }

    /// Gaussian elimination, from the last term (the constant) to the first.
    private static func solve(_ equations: [[Double]]) -> [Double] {
        var rows = equations
        func varies(_ i: Int) -> Bool { abs(rows[i][i]) > 1e-9 * abs(equations[i][i]) }
        for pivot in [2, 1, 0] where varies(pivot) {
            for other in 0..<3 where other != pivot {
                let share: Double = rows[other][pivot] / rows[pivot][pivot]
                for k in 0..<4 { rows[other][k] -= share * rows[pivot][k] }
            }
        }
        return (0..<3).map { i -> Double in varies(i) ? rows[i][3] / rows[i][i] : 0 }
    }
}

extension Plane {
    /// Pillow's resampling with the Hamming filter: first the rows, then the columns, each stored in single precision.
    func resized(width to: Int, height down: Int) -> Plane {
        let across = Kernel.taps(width, to), along = Kernel.taps(height, down)
        var narrow = [Float]()
        for y in 0..<height {
            for taps in across { narrow.append(taps.sum { values[y * width + $0] }) }
        }
        var made = [Float]()
        for taps in along {
            for x in 0..<to { made.append(taps.sum { narrow[$0 * to + x] }) }
        }
        return Plane(width: to, height: down, values: made)
    }
}

/// For a pixel of the new line: where its sum begins in the old line, and the weights, whose sum is 1.
struct Kernel {
    let first: Int
    let weights: [Double]

    func sum(_ value: (Int) -> Float) -> Float {
        var total = 0.0
        for (k, weight) in weights.enumerated() { total += Double(value(first + k)) * weight }
        return Float(total)
    }

    static func taps(_ length: Int, _ to: Int) -> [Kernel] {
        let scale = Double(length) / Double(to), spread = max(scale, 1)
        return (0..<to).map { i in
            let middle = (Double(i) + 0.5) * scale
            let first = max(0, Int(middle - spread + 0.5)), last = min(length, Int(middle + spread + 0.5))
            let raw = (first..<last).map { hamming((Double($0) - middle + 0.5) * (1 / spread)) }
            let total = raw.reduce(0, +)
            return Kernel(first: first, weights: raw.map { $0 / total })
        }
    }

    /// Pillow's constants are in single precision.
    private static func hamming(_ x: Double) -> Double {
        if x == 0 { return 1 }
        if abs(x) >= 1 { return 0 }
        let angle = abs(x) * .pi
        return sin(angle) / angle * (Double(Float(0.54)) + Double(Float(0.46)) * cos(angle))
    }
}
