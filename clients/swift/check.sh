#!/bin/sh
# Checks of the Swift package, from the repository's root with Swift on the PATH (toolchain.sh): no warning is allowed.
#
#   clients/swift/check.sh tests   builds, and runs the tests on the vectors of clients/vectors
#   clients/swift/check.sh phone   builds the device that Python's tests drive, and prints its path last
#   clients/swift/check.sh apple   type-checks the sources for Apple's systems, the example app, and the snippets of
#                                  docs/swift.md and docs/app.md, against declarations of Apple's interfaces
set -eu

# The same for everything, or the second would build anew. Optimised: the vectors take a minute otherwise.
options="-j ${SWIFT_JOBS:-2} -c release -Xswiftc -enable-testing -Xswiftc -warnings-as-errors"

# shellcheck disable=SC2086  # options are words
tests() { swift test $options; }

# shellcheck disable=SC2086
phone() {
  swift build $options --product phone
  echo "$(swift build $options --show-bin-path)/phone"
}

apple() {
  made=.build/apple-stubs
  mkdir -p "$made"
  for name in CryptoKit CoreVideo CoreML Security CoreGraphics ImageIO SwiftUI; do
    swiftc -swift-version 5 -suppress-warnings -I "$made" -parse-as-library -emit-module -module-name "$name" \
      -emit-module-path "$made/$name.swiftmodule" "clients/swift/Tests/AppleStubs/$name.swift"
  done
  swiftc -swift-version 6 -warnings-as-errors -parse-as-library -emit-module -module-name DigitLoopCore \
    -emit-module-path "$made/DigitLoopCore.swiftmodule" clients/swift/Sources/DigitLoopCore/*.swift
  swiftc -swift-version 6 -warnings-as-errors -parse-as-library -emit-module -I "$made" -module-name DigitLoop \
    -emit-module-path "$made/DigitLoop.swiftmodule" clients/swift/Sources/DigitLoop/*.swift
  check clients/swift/Example/*.swift
  page docs/swift.md 'rootInTheApp: Data, strokes: [[LoopDrawing.Point]]' '_ = page'
  page docs/app.md 'root: Data, folder: URL, strokes: [[LoopDrawing.Point]], user: any User'
  echo "type-checked: $(ls clients/swift/Sources/DigitLoop/*.swift | wc -l) files"
}

check() {
  swiftc -swift-version 6 -warnings-as-errors -typecheck -parse-as-library -I "$made" "$@"
}

# The snippets of a page, one after the other, in a function that has what an app has.
page() {
  {
    echo 'import DigitLoop'
    echo 'import Foundation'
    echo 'protocol User: Sendable {'
    echo '  func sees(_ digit: Int) async'
    echo '  func says() async -> Int?'
    echo '  func answers(_ digit: Int, or second: Int) async -> Int?'
    echo '}'
    echo "func example($2) async throws {"
    sed -n '/^```swift$/,/^```$/{/^```/d;p;}' "$1"
    echo "${3:-} }"
  } >"$made/page.swift"
  check "$made/page.swift"
}

case ${1:-} in
  tests) tests ;;
  apple) apple ;;
  phone) phone ;;
  *)
    echo "expected tests, phone or apple" >&2
    exit 1
    ;;
esac
