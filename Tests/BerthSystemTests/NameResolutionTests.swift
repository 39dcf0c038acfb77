import BerthSystem
import Testing

@Suite(.timeLimit(.minutes(1)))
struct NameResolutionTests {
    @Test(arguments: [
        ("127.0.0.1", "80", "127.0.0.1:80"),
        ("0", "4444", "0.0.0.0:4444"),
        ("::1", "80", "[::1]:80"),
    ])
    func `numeric addresses need no look-up`(
        _ host: String,
        _ service: String,
        _ expected: String
    ) throws {
        var request = NameResolution.Request(host: host, service: service, isPassive: false)
        request.isNumeric = true
        #expect(try NameResolution.addresses(request).map(\.description) == [expected])
    }

    @Test func `an empty host means all addresses of both families when listening`() throws {
        let request = NameResolution.Request(host: "", service: "5", isPassive: true)
        let found = Set(try NameResolution.addresses(request).map(\.description))
        #expect(found == ["0.0.0.0:5", "[::]:5"])
    }

    @Test func `one family can be asked for alone`() throws {
        var request = NameResolution.Request(host: "", service: "5", isPassive: true)
        request.wantsIPv6 = false
        #expect(try NameResolution.addresses(request).map(\.description) == ["0.0.0.0:5"])
        request.wantsIPv6 = true
        request.wantsIPv4 = false
        #expect(try NameResolution.addresses(request).map(\.description) == ["[::]:5"])
    }

    @Test func `a name where a number is demanded is an error`() {
        var request = NameResolution.Request(host: "localhost", service: "5", isPassive: false)
        request.isNumeric = true
        #expect {
            try NameResolution.addresses(request)
        } throws: { error in
            "\(error)".hasPrefix("cannot resolve 'localhost:5': ")
        }
    }

    @Test func `an unknown service is an error`() throws {
        let abort = try WakeEvent()
        let request = NameResolution.Request(
            host: "127.0.0.1",
            service: "no-such-service",
            isPassive: false
        )
        #expect(throws: NameResolutionError.self) {
            try NameResolution.addresses(request, abort: abort)
        }
    }

    @Test func `a look-up in the system's tables works with an abort event at hand`() throws {
        let abort = try WakeEvent()
        let request = NameResolution.Request(host: "localhost", service: "5", isPassive: false)
        let found = try NameResolution.addresses(request, abort: abort).map(\.description)
        #expect(found.contains("127.0.0.1:5") || found.contains("[::1]:5"))
    }

    @Test func `an abort does not wait for the resolver`() throws {
        let abort = try WakeEvent()
        abort.signal()
        let request = NameResolution.Request(host: "berth.invalid", service: "5", isPassive: false)
        #expect {
            try NameResolution.addresses(request, abort: abort)
        } throws: { error in
            (error as? NameResolutionError)?.cause == .aborted
        }
    }
}
