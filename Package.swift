// swift-tools-version: 6.2
import PackageDescription

/// Set by `make check`: a release for users must build with compilers that warn about more.
let warningsAsErrors = Context.environment["BERTH_WARNINGS_AS_ERRORS"] == "1"

/// One set of settings for every target: the language rules that the whole project follows.
let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ] + (warningsAsErrors ? [.treatAllWarnings(as: .error)] : [])

/// Libraries also have every unsafe operation marked; test code doesn't (`#expect` hides them).
let librarySettings = settings + [.strictMemorySafety()]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: librarySettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name,
        dependencies: dependencies + ["BerthTestSupport"],
        swiftSettings: settings
    )
}

let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let package = Package(
    name: "berth",
    products: [
        .executable(name: "berth", targets: ["berth"]),
        // With the modules whose types its own interface shows.
        .library(
            name: "BerthImages",
            targets: [
                "BerthImages", "BerthStream", "BerthWire", "BerthMemory", "BerthTransport",
                "BerthQAPI",
            ]
        ),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        .systemLibrary(
            name: "CJSON",
            pkgConfig: "json-c",
            providers: [.apt(["libjson-c-dev"])]
        ),
        .systemLibrary(
            name: "CEdit",
            pkgConfig: "libedit",
            providers: [.apt(["libedit-dev"])]
        ),
        .systemLibrary(
            name: "CExpat",
            pkgConfig: "expat",
            providers: [.apt(["libexpat1-dev"])]
        ),
        .systemLibrary(
            name: "CZlib",
            pkgConfig: "zlib",
            providers: [.apt(["zlib1g-dev"])]
        ),
        .systemLibrary(
            name: "CZstd",
            pkgConfig: "libzstd",
            providers: [.apt(["libzstd-dev"])]
        ),
        .target(name: "CBerthLinux"),
        library("BerthSystem", ["CBerthLinux", systemPackage]),
        library("BerthJSON", ["CJSON"]),
        library("BerthQAPI", ["BerthJSON"]),
        library("BerthWire", []),
        library("BerthMemory", ["BerthSystem"]),
        library("BerthWorkload", ["BerthMemory", "BerthSystem"]),
        library("BerthTransport", ["BerthSystem", systemPackage]),
        library(
            "BerthStream",
            [
                "BerthWire", "BerthMemory", "BerthTransport", "BerthSystem", "BerthJSON", "CZlib",
                "CZstd",
            ]
        ),
        library(
            "BerthImages",
            [
                "BerthQAPI", "BerthJSON", "BerthStream", "BerthWire", "BerthMemory",
                "BerthTransport", "BerthSystem", "CZlib", "CExpat",
            ]
        ),
        library(
            "BerthMigration",
            [
                "BerthQAPI", "BerthStream", "BerthWire", "BerthMemory", "BerthTransport",
                "BerthSystem",
            ]
        ),
        library(
            "BerthMonitor",
            ["BerthQAPI", "BerthJSON", "BerthSystem", "CEdit", systemPackage]
        ),
        library("BerthClient", ["BerthMonitor", "BerthJSON", "BerthSystem"]),
        library(
            "BerthServer",
            [
                "BerthMonitor", "BerthMigration", "BerthImages", "BerthStream", "BerthWire",
                "BerthMemory", "BerthWorkload", "BerthTransport", "BerthSystem", "BerthQAPI",
                "BerthJSON",
            ]
        ),
        .executableTarget(
            name: "berth",
            dependencies: [
                "BerthServer", "BerthClient", "BerthImages", "BerthStream", "BerthWire",
                "BerthQAPI",
                "BerthSystem",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: librarySettings
        ),
        .executableTarget(
            name: "berth-qapi",
            dependencies: [],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "berth-bench",
            dependencies: [
                "BerthStream", "BerthWire", "BerthMemory", "BerthTransport", "BerthSystem",
            ],
            swiftSettings: librarySettings
        ),
        .executableTarget(name: "external-writer-example", path: "Examples/external-writer"),
        .executableTarget(
            name: "image-library-example",
            dependencies: ["BerthImages", "BerthStream", "BerthWire"],
            path: "Examples/image-library",
            swiftSettings: settings
        ),
        .target(name: "BerthTestSupport", path: "Tests/BerthTestSupport", swiftSettings: settings),
        tests("BerthSystemTests", ["BerthSystem", systemPackage]),
        tests("BerthJSONTests", ["BerthJSON"]),
        tests("BerthQAPITests", ["BerthQAPI", "BerthJSON", "berth-qapi"]),
        tests("BerthWireTests", ["BerthWire"]),
        tests("BerthMemoryTests", ["BerthMemory", "BerthSystem"]),
        tests(
            "BerthWorkloadTests",
            ["BerthWorkload", "BerthMemory", "BerthSystem", "external-writer-example"]
        ),
        tests("BerthTransportTests", ["BerthTransport", "BerthSystem", systemPackage]),
        tests(
            "BerthStreamTests",
            ["BerthStream", "BerthWire", "BerthMemory", "BerthTransport", "BerthSystem"]
        ),
        tests(
            "BerthImagesTests",
            [
                "image-library-example",
                "BerthImages", "BerthQAPI", "BerthJSON", "BerthStream", "BerthWire", "BerthMemory",
                "BerthTransport", "BerthSystem", "CZlib",
            ]
        ),
        tests(
            "BerthMigrationTests",
            [
                "BerthMigration", "BerthQAPI", "BerthStream", "BerthWire", "BerthMemory",
                "BerthTransport", "BerthSystem",
            ]
        ),
        tests(
            "BerthMonitorTests",
            ["BerthMonitor", "BerthQAPI", "BerthJSON", "BerthSystem", "CBerthLinux"]
        ),
        tests(
            "BerthClientTests",
            ["BerthClient", "BerthMonitor", "BerthQAPI", "BerthJSON", "BerthSystem"]
        ),
        tests(
            "BerthServerTests",
            [
                "BerthServer", "BerthMonitor", "BerthMigration", "BerthQAPI", "BerthJSON",
                "BerthMemory", "BerthTransport", "BerthSystem",
            ]
        ),
        tests("BerthInteropTests", ["external-writer-example"]),
    ]
)
