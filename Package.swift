// swift-tools-version:6.0
// The phone's half of Digit Loop. Add this repository as a package in Xcode, then `import DigitLoop`.

import PackageDescription

let sources = "clients/swift/Sources"
let tests = "clients/swift/Tests"

#if os(Linux)
// Linux has no CryptoKit: tests check signatures with the system's libcrypto. `phone` is a device that Python's tests drive.
let onLinux: [Target] = [
    .systemLibrary(name: "CLibcrypto", path: "\(tests)/CLibcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "Libcrypto", dependencies: ["DigitLoopCore", "CLibcrypto"], path: "\(tests)/Libcrypto"),
    .target(name: "CMortal", path: "\(tests)/CMortal"),
    .executableTarget(
        name: "phone", dependencies: ["DigitLoopCore", "Libcrypto", "CMortal"], path: "\(tests)/Phone"),
    .testTarget(
        name: "DigitLoopCoreTests", dependencies: ["DigitLoopCore", "Libcrypto"], path: "\(tests)/DigitLoopCoreTests"),
]
let phone: [Product] = [.executable(name: "phone", targets: ["phone"])]
#else
let onLinux: [Target] = []
let phone: [Product] = []
#endif

let package = Package(
    name: "DigitLoop",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [
        .library(name: "DigitLoop", targets: ["DigitLoop"]),
        .library(name: "DigitLoopCore", targets: ["DigitLoopCore"]),
    ] + phone,
    targets: [
        .target(name: "DigitLoopCore", path: "\(sources)/DigitLoopCore"),
        .target(name: "DigitLoop", dependencies: ["DigitLoopCore"], path: "\(sources)/DigitLoop"),
    ] + onLinux
)
