# shellcheck shell=bash
# Apache Kafka as one KRaft node on loopback, its jars from Maven Central in a cache folder that all
# clones share; or, for a first look where Java or Maven can't be had, usher-broker: librdkafka's
# mock cluster, in memory. Owns the topics.

KAFKA_VERSION=4.1.1 # 4.1 or later: librdkafka 2.0.2 needs what 4.0.0 left out
KAFKA_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/usher/kafka-$KAFKA_VERSION
KAFKA_HOME=$USHER_VAR/kafka
KAFKA_KIND_FILE=$KAFKA_HOME/kind # "real" or "embedded"

# name and partitions; more partitions later would move keys, and order per user with them
KAFKA_TOPICS=(
	"user_events 6"
	"user_events.dlq 1"
)

kafka_kind() { cat "$KAFKA_KIND_FILE" 2>/dev/null || echo real; }
kafka_address() {
	case $(kafka_kind) in
	real) echo "127.0.0.1:$KAFKA_PORT" ;;
	embedded) cat "$USHER_RUN/broker.address" 2>/dev/null || echo "127.0.0.1:$KAFKA_PORT" ;;
	esac
}

# kafka_choose WANTED: decides between the two, and says so where the choice is not what was wanted.
kafka_choose() {
	local kind=${1:-real}
	mkdir -p "$KAFKA_HOME"
	[[ $kind != real ]] || kafka_jars_there || note kafka "fetching $KAFKA_VERSION into $KAFKA_CACHE, once"
	if [[ $kind == real ]] && ! kafka_get_ready >"$USHER_VAR/log/step-kafka-jars.log" 2>&1; then
		kind=embedded
		note kafka "Java 17 or Kafka's jars can't be had (log/step-kafka-jars.log): embedded broker, in memory, for a first look only"
	fi
	echo "$kind" >"$KAFKA_KIND_FILE"
}

kafka_get_ready() {
	kafka_jars_there && java_fits && return
	packages_install "${PACKAGES_KAFKA[@]}" && kafka_fetch
}

kafka_jars_there() { compgen -G "$KAFKA_CACHE/kafka_2.13-$KAFKA_VERSION.jar" >/dev/null; }

kafka_fetch() {
	local new
	kafka_jars_there && return
	mkdir -p "${KAFKA_CACHE%/*}"
	new=$(mktemp -d "$KAFKA_CACHE.XXXXXX")
	cat >"$new/pom.xml" <<-EOF
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		<modelVersion>4.0.0</modelVersion>
		<groupId>usher</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
		<dependencies>
		<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
		<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
		<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
		</dependencies>
		</project>
	EOF
	(cd "$new" && mvn -B -q -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
		-DoutputDirectory="$new" -DincludeScope=runtime) || {
		rm -rf "$new"
		return 1
	}
	put_in_place "$new" "$KAFKA_CACHE" kafka_jars_there # only a whole set of jars bears the name
}

# A small heap, the quick compiler: this node starts often and carries little.
KAFKA_JAVA=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1
	"-Dlog4j2.configurationFile=$KAFKA_HOME/log4j2.properties" -cp "$KAFKA_CACHE/*")

kafka_conf() {
	cat >"$KAFKA_HOME/log4j2.properties" <<-EOF
		appender.out.type = Console
		appender.out.name = out
		appender.out.layout.type = PatternLayout
		appender.out.layout.pattern = %d %p %c{1} %m%n
		rootLogger.level = WARN
		rootLogger.appenderRef.out.ref = out
		logger.server.name = kafka.server.KafkaRaftServer
		logger.server.level = INFO
	EOF
	cat >"$KAFKA_HOME/server.properties" <<-EOF
		process.roles=broker,controller
		node.id=1
		listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
		advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
		controller.listener.names=CONTROLLER
		controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
		log.dirs=$KAFKA_HOME/data
		auto.create.topics.enable=false
		num.network.threads=2
		num.io.threads=2
		background.threads=2
		log.cleaner.dedupe.buffer.size=4194304
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=4
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		group.initial.rebalance.delay.ms=0
	EOF
}

kafka_format() {
	local id
	[[ -f $KAFKA_HOME/data/meta.properties ]] && return
	id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | cut -c1-22)
	"${KAFKA_JAVA[@]}" -Xmx256m kafka.tools.StorageTool format -t "$id" -c "$KAFKA_HOME/server.properties"
}

# Once; the topics stand in the node's metadata from then on.
kafka_topics() {
	local row name partitions
	[[ -f $KAFKA_HOME/data/topics-made ]] && return
	for row in "${KAFKA_TOPICS[@]}"; do
		read -r name partitions <<<"$row"
		"${KAFKA_JAVA[@]}" -Xmx256m org.apache.kafka.tools.TopicCommand --bootstrap-server "$(kafka_address)" \
			--create --if-not-exists --topic "$name" --partitions "$partitions" --replication-factor 1
	done
	touch "$KAFKA_HOME/data/topics-made"
}

kafka_start() { "kafka_start_$(kafka_kind)"; }

kafka_start_real() {
	kafka_get_ready
	port_free "$KAFKA_PORT"
	port_free "$KAFKA_CONTROLLER_PORT"
	kafka_conf
	kafka_format
	daemon kafka "$USHER_VAR/log/kafka.log" \
		"${KAFKA_JAVA[@]}" -Xmx384m kafka.Kafka "$KAFKA_HOME/server.properties"
	wait_for 60 kafka_ready_or_dead || true
	kafka_ready
	kafka_topics
	remark "$(kafka_address)"
}

kafka_start_embedded() {
	local row topics=()
	for row in "${KAFKA_TOPICS[@]}"; do topics+=("${row/ /:}"); done
	rm -f "$USHER_RUN/broker.address"
	daemon kafka "$USHER_VAR/log/kafka.log" \
		"$USHER_BIN/usher-broker" --file "$USHER_RUN/broker.address" --topics "$(IFS=,; echo "${topics[*]}")"
	wait_for 10 kafka_ready_or_dead || true
	kafka_ready
	remark "embedded, in memory, $(kafka_address)"
}

kafka_stop() { end kafka 30; }
kafka_ready() { alive kafka && kcat -L -m 2 -b "$(kafka_address)" >/dev/null 2>&1; }
kafka_ready_or_dead() { kafka_ready || ! alive kafka; }
kafka_pids() { pid_of kafka; }
kafka_wipe() { rm -rf "$KAFKA_HOME"; }
