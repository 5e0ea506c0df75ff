import Foundation

/// Lower-case hex digits.
enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    static func text(_ data: Data) -> String {
        String(decoding: data.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Whether `text` is `count` lower-case hex digits.
    static func isText(_ text: String, count: Int) -> Bool {
        text.utf8.count == count && text.utf8.allSatisfy(digits.contains)
    }

    /// The bytes of lower-case hex digits; the caller has checked them with ``isText``.
    static func bytes(_ text: String) -> Data {
        let values: [UInt8] = text.utf8.map { UInt8(digits.firstIndex(of: $0) ?? 0) }
        var bytes = Data()
        for i in stride(from: 1, to: values.count, by: 2) { bytes.append(values[i - 1] << 4 | values[i]) }
        return bytes
    }
}

/// UTC in whole seconds, as documents have it: `2026-05-03T03:00:00Z`.
enum DocumentTime {
    static func parse(_ text: String) -> Date? {
        let bytes = Array(text.utf8)
        let form = Array("0000-00-00T00:00:00Z".utf8)
        guard bytes.count == form.count,
            zip(bytes, form).allSatisfy({ $1 == UInt8(ascii: "0") ? (48...57).contains($0) : $0 == $1 })
        else { return nil }
        func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 * 10 + Int($1) - 48 } }
        let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        guard year >= 1000, (1...12).contains(month), (1...daysIn(month, of: year)).contains(day), hour < 24, minute < 60,
            second < 60
        else { return nil }
        return Date(timeIntervalSince1970: Double(days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second))
    }

    static func text(_ date: Date) -> String {
        let seconds = Int(date.timeIntervalSince1970.rounded(.down))
        let (day, rest) = (floorDivision(seconds, 86400), floorDivision(seconds, 86400) * 86400)
        let (year, month, dayOfMonth) = civil(day)
        let second = seconds - rest
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))T"
            + "\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))Z"
    }

    private static func daysIn(_ month: Int, of year: Int) -> Int {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// Days since 1970 of a date; years begin in March, so that the leap day is a year's last day.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return 365 * shifted + floorDivision(shifted, 4) - floorDivision(shifted, 100) + floorDivision(shifted, 400)
            + dayOfYear - 719_468
    }

    private static func civil(_ day: Int) -> (year: Int, month: Int, day: Int) {
        var year = 1970 + floorDivision(day, 366)
        while days(year + 1, 1, 1) <= day { year += 1 }
        var (month, rest) = (1, day - days(year, 1, 1))
        while rest >= daysIn(month, of: year) { (month, rest) = (month + 1, rest - daysIn(month, of: year)) }
        return (year, month, rest + 1)
    }

    private static func floorDivision(_ a: Int, _ b: Int) -> Int { a >= 0 ? a / b : -((b - 1 - a) / b) }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
