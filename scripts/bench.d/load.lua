-- What wrk sends for scripts/bench: one request after the other from a list of users, a line each:
-- "ID TOKEN", or "PATH TOKEN" for the kind path. Threads take every n-th line each, so that none is sent by two.
--
--   wrk ... -s load.lua URL -- KIND LIST THREADS FIRST COUNT [once]
--
-- KIND is a row of KINDS. "once": a list that has come to its end is an error, not begun again.
-- The last line is for the script: requests, seconds, p50 and p99 in ms, errors.

local PASSWORD = "correct horse battery"

local function bearer(token) return { ["Authorization"] = "Bearer " .. token } end

local function nickname(n) return string.format('{"nickname":"%014d"}', n) end

local JSON = "application/json"

local function phone(n) return string.format('{"phone":"%014d"}', n) end

local function async(id, token, body)
	local headers = bearer(token)
	headers["Content-Type"] = JSON
	headers["Prefer"] = "respond-async"
	return wrk.format("PATCH", "/api/v1/users/" .. id, headers, body):sub(1, -#body - 1)
end

-- Each makes the fixed part of a user's request; what "body" gives is put behind it each time,
-- always of the same length.
local KINDS = {
	get = {
		head = function(id, token) return wrk.format("GET", "/api/v1/users/" .. id, bearer(token)) end,
	},
	-- the same headers, to the pool that does nothing
	echo = {
		head = function(_, token) return wrk.format("GET", "/bench-echo", bearer(token)) end,
	},
	path = {
		head = function(path, token) return wrk.format("GET", path, bearer(token)) end,
	},
	patch = {
		head = function(id, token)
			local headers = bearer(token)
			headers["Content-Type"] = JSON
			return wrk.format("PATCH", "/api/v1/users/" .. id, headers, nickname(0)):sub(1, -#nickname(0) - 1)
		end,
		body = nickname,
	},
	-- as patch, in no hurry; and of a field that search does not look at
	behind = { head = function(id, token) return async(id, token, nickname(0)) end, body = nickname },
	behind_phone = { head = function(id, token) return async(id, token, phone(0)) end, body = phone },
	login = {
		head = function(id)
			local body = string.format('{"email":"user%d@bench.example","password":"%s"}', id, PASSWORD)
			return wrk.format("POST", "/api/v1/auth/login", { ["Content-Type"] = JSON }, body)
		end,
	},
}

local threads = {}

function setup(thread)
	thread:set("number", #threads)
	thread:set("ran_out", false)
	table.insert(threads, thread)
end

local heads, kind, once, at, value = {}, nil, false, 0, 0

function init(args)
	local list, of, first, count = args[2], tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
	local line_no = 0

	kind = KINDS[args[1]]
	once = args[6] == "once"
	for line in io.lines(list) do
		line_no = line_no + 1
		if line_no >= first + count then break end
		if line_no >= first and line_no % of == number then
			local id, token = line:match("^(%S+) ?(.*)$")
			table.insert(heads, kind.head(id, token))
		end
	end
	-- a value that no earlier run has written
	value = os.time() % 1000000 * 100000000 + number * 50000000
end

function request()
	at = at + 1
	if at > #heads then
		at = 1
		if once then
			ran_out = true
			wrk.thread:stop()
		end
	end
	if not kind.body then return heads[at] end
	value = value + 1
	return heads[at] .. kind.body(value)
end

function done(summary, latency)
	local e = summary.errors
	local errors = e.connect + e.read + e.write + e.status + e.timeout

	for _, thread in ipairs(threads) do
		if thread:get("ran_out") then print("bench: the list came to its end") end
	end
	if errors > 0 then
		print(string.format("bench: errors: %d connect, %d read, %d write, %d status, %d timeout",
			e.connect, e.read, e.write, e.status, e.timeout))
	end
	print(string.format("result %d %.3f %.3f %.3f %d", summary.requests, summary.duration / 1e6,
		latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, errors))
end
