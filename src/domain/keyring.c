/*
 * keyring: reading, thumbprints, verifying.
 *
 * libjwt signs, but it would parse the PEM text at each verification and take the token's word
 * for the algorithm; so verifying is done here, with keys that were parsed once.
 */
#include "keyring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "buf.h"
#include "log.h"
#include "rnd.h"

#include "settings.h"

enum {
	KEYS_MOST = 32, /* an old secret is three */
	FILE_MOST = 16 * 1024,
	KID_SIZE = 44,
	SECRET_KID = 16, /* letters: enough to tell secrets apart */
	SECRET_LEAST = 32,
	RSA_LEAST_BITS = 2048,
	RSA_NEW_BITS = 3072,
	P256_BYTES = 32,
	RSA_MOST_BYTES = 2048,
};

struct key {
	char kid[KID_SIZE];
	const char *algorithm;
	const char *text; /* to sign with; NULL: it verifies only */
	EVP_MAC_CTX *mac; /* of a secret, which is in it */
	EVP_PKEY *public; /* of the others */
};

static struct key keys[KEYS_MOST]; /* the first one signs */
static int n_keys;
static struct arena *kept; /* texts, as long as the keys */
static const char *jwks;

/* What each algorithm is made of. */
static const struct algorithm {
	const char *name, *digest, *key_type; /* NULL: a secret */
} ALGORITHMS[] = {
	{ "HS256", "SHA256", NULL },  { "HS384", "SHA384", NULL }, { "HS512", "SHA512", NULL },
	{ "RS256", "SHA256", "RSA" }, { "ES256", "SHA256", "EC" },
};

static const struct algorithm *
algorithm_called(const char *name)
{
	for (size_t i = 0; i < NELEM(ALGORITHMS); i++) {
		if (strcmp(ALGORITHMS[i].name, name) == 0)
			return &ALGORITHMS[i];
	}
	return NULL;
}

/* Where a key may stand: room for one more, and no other of its kid. */
static struct key *
new_key(const char *kid, const char *algorithm)
{
	struct key *k = &keys[n_keys];

	if (n_keys == KEYS_MOST || keyring_find(kid, algorithm) != NULL)
		return NULL;
	*k = (struct key){ .algorithm = algorithm };
	snprintf(k->kid, sizeof(k->kid), "%s", kid);
	return k;
}

/*
 * Secrets
 */

static EVP_MAC_CTX *
mac_with(const char *digest, const char *secret)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
								 (char *)digest, 0),
				OSSL_PARAM_construct_end() };

	EVP_MAC_free(mac);
	if (ctx == NULL ||
	    EVP_MAC_init(ctx, (const unsigned char *)secret, strlen(secret), params) != 1)
		abort(); /* no HMAC: nothing of ours can work */
	return ctx;
}

static void
kid_of_secret(const char *secret, char out[KID_SIZE])
{
	struct arena *a = arena_new(256);
	const char *text = arena_printf(a, "usher kid %s", secret);
	unsigned char digest[SHA256_SIZE];

	rnd_sha256(text, strlen(text), digest);
	rnd_base64url(digest, sizeof(digest), out);
	out[SECRET_KID] = '\0';
	arena_free(&a);
}

static enum err
add_secret(const struct algorithm *alg, const char *secret)
{
	char kid[KID_SIZE];
	struct key *k;

	if (strlen(secret) < SECRET_LEAST)
		return log_fail(E_BUG, EV("key.too_short"), KS("algorithm", alg->name));
	kid_of_secret(secret, kid);
	if ((k = new_key(kid, alg->name)) == NULL)
		return OK;
	k->text = secret;
	k->mac = mac_with(alg->digest, secret);
	n_keys++;
	return OK;
}

/* By which of the three it signed nobody says any more. */
static enum err
add_old_secret(const char *secret)
{
	enum err e = OK;

	for (size_t i = 0; e == OK && i < NELEM(ALGORITHMS); i++) {
		if (ALGORITHMS[i].key_type == NULL)
			e = add_secret(&ALGORITHMS[i], secret);
	}
	return e;
}

/* Words; they stay as long as the process. */
static enum err
add_old_secrets(const char *words)
{
	enum err e = OK;

	while (e == OK && words != NULL && *(words += strspn(words, " ")) != '\0') {
		size_t len = strcspn(words, " ");

		e = add_old_secret(arena_textn(kept, words, len));
		words += len;
	}
	return e;
}

/*
 * Public keys
 */

/* A number of the key, big-endian without leading zeros, or of `width` bytes, as base64url. */
static const char *
number(struct arena *a, const EVP_PKEY *key, const char *name, int width)
{
	unsigned char *bytes = arena_get(a, RSA_MOST_BYTES);
	char *text = arena_get(a, RSA_MOST_BYTES * 2);
	BIGNUM *n = NULL;
	int len = -1;

	if (EVP_PKEY_get_bn_param(key, name, &n) == 1 && BN_num_bytes(n) <= RSA_MOST_BYTES)
		len = width > 0 ? BN_bn2binpad(n, bytes, width) : BN_bn2bin(n, bytes);
	BN_free(n);
	if (len < 0)
		return NULL;
	rnd_base64url(bytes, (size_t)len, text);
	return text;
}

/* The members that make up the thumbprint, in its order: a JWK less the rest. NULL where the key
 * is none that we would use. */
static const char *
essence(struct arena *a, const EVP_PKEY *key)
{
	char curve[32] = "";

	if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_LEAST_BITS) {
		const char *e = number(a, key, OSSL_PKEY_PARAM_RSA_E, 0),
			   *n = number(a, key, OSSL_PKEY_PARAM_RSA_N, 0);

		return e == NULL || n == NULL
			       ? NULL
			       : arena_printf(a, "\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"", e, n);
	}
	if (EVP_PKEY_is_a(key, "EC") &&
	    EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1 &&
	    strcmp(curve, "prime256v1") == 0) {
		const char *x = number(a, key, OSSL_PKEY_PARAM_EC_PUB_X, P256_BYTES),
			   *y = number(a, key, OSSL_PKEY_PARAM_EC_PUB_Y, P256_BYTES);

		return x == NULL || y == NULL
			       ? NULL
			       : arena_printf(
					 a,
					 "\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"",
					 x, y);
	}
	return NULL;
}

/* RFC 7638, 3 */
static void
thumbprint(struct arena *a, const char *members, char out[KID_SIZE])
{
	const char *text = arena_printf(a, "{%s}", members);
	unsigned char digest[SHA256_SIZE];

	rnd_sha256(text, strlen(text), digest);
	rnd_base64url(digest, sizeof(digest), out);
}

static const char *
read_file(struct arena *a, const char *path)
{
	char *text = arena_get(a, FILE_MOST + 1);
	FILE *f = fopen(path, "re");
	size_t len = f == NULL ? 0 : fread(text, 1, FILE_MOST, f);

	if (f != NULL)
		fclose(f);
	return len == 0 || len == FILE_MOST ? NULL : text;
}

/* Both kinds of PEM: a private key has its public half in it. */
static EVP_PKEY *
parsed(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);

	if (key == NULL && BIO_reset(bio) == 1)
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
	BIO_free(bio);
	return key;
}

/* Takes the key, or frees it where it is not fit, is there already or has no room. */
static struct key *
add_public(struct arena *a, EVP_PKEY *key)
{
	const char *members = key == NULL ? NULL : essence(a, key);
	char kid[KID_SIZE];
	struct key *k = NULL;

	if (members != NULL) {
		thumbprint(a, members, kid);
		k = new_key(kid, EVP_PKEY_is_a(key, "RSA") ? "RS256" : "ES256");
	}
	if (k == NULL) {
		EVP_PKEY_free(key);
		return NULL;
	}
	k->public = key;
	n_keys++;
	return k;
}

static enum err
add_signer(struct arena *a, const struct algorithm *alg, const char *path)
{
	const char *text = path == NULL ? NULL : read_file(a, path);
	EVP_PKEY *key = text == NULL || strstr(text, "PRIVATE KEY") == NULL ? NULL : parsed(text);
	struct key *k;
	struct stat st;

	if (key != NULL && !EVP_PKEY_is_a(key, alg->key_type)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	if ((k = add_public(a, key)) == NULL)
		return log_error(EV("key.not_fit"), KS("setting", "JWT_PRIVATE_KEY_FILE"),
				 KS("file", path == NULL ? "" : path),
				 KS("why", text == NULL ? strerror(errno) : "no key for it"),
				 KS("algorithm", alg->name), KS("mend", "usherctl key new")),
		       E_BUG;
	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		log_warn(EV("key.open_to_others"), KS("setting", "JWT_PRIVATE_KEY_FILE"));
	k->text = arena_text(kept, text);
	return OK;
}

static bool
is_pem(const char *name)
{
	size_t len = strlen(name);

	return *name != '.' && ((len > 4 && strcmp(name + len - 4, ".pem") == 0) ||
				(len > 4 && strcmp(name + len - 4, ".pub") == 0));
}

/* One that is there already, as the signer's own, is not added twice. */
static enum err
add_file(struct arena *a, const char *path)
{
	const char *text = read_file(a, path);
	EVP_PKEY *key = text == NULL ? NULL : parsed(text);

	if (key == NULL || essence(a, key) == NULL) {
		EVP_PKEY_free(key);
		return log_error(EV("key.not_fit"), KS("setting", "JWT_KEYS_DIR"), KS("file", path),
				 KS("mend",
				    "a public key for RS256 or ES256, PEM, that can be read")),
		       E_BUG;
	}
	if (add_public(a, key) == NULL && n_keys == KEYS_MOST)
		return log_fail(E_BUG, EV("key.too_many"), KI("most", KEYS_MOST));
	return OK;
}

static enum err
add_folder(struct arena *a, const char *path)
{
	struct dirent *d;
	enum err e = OK;
	DIR *dir;

	if (path == NULL)
		return OK;
	if ((dir = opendir(path)) == NULL)
		return log_error(EV("key.no_folder"), KS("setting", "JWT_KEYS_DIR"),
				 KS("file", path), KS("why", strerror(errno)),
				 KS("mend", "name a folder that can be read")),
		       E_BUG;
	while (e == OK && (d = readdir(dir)) != NULL) {
		if (is_pem(d->d_name))
			e = add_file(a, arena_printf(a, "%s/%s", path, d->d_name));
	}
	closedir(dir);
	return e;
}

static const char *
print_jwks(struct arena *a)
{
	struct buf b = buf_new(a, 1024);

	buf_lit(&b, "{\"keys\":[");
	for (int i = 0, n = 0; i < n_keys; i++) {
		if (keys[i].public == NULL)
			continue;
		buf_printf(&b, "%s{%s,\"kid\":\"%s\",\"use\":\"sig\",\"alg\":\"%s\"}",
			   n++ > 0 ? "," : "", essence(a, keys[i].public), keys[i].kid,
			   keys[i].algorithm);
	}
	buf_lit(&b, "]}");
	return arena_text(kept, b.text);
}

static void
forget_all(void)
{
	for (int i = 0; i < n_keys; i++) {
		EVP_MAC_CTX_free(keys[i].mac);
		EVP_PKEY_free(keys[i].public);
	}
	n_keys = 0;
	if (kept == NULL)
		kept = arena_new(4096);
	arena_reset(kept);
}

enum err
keyring_init(const struct settings *conf)
{
	const struct algorithm *alg = algorithm_called(conf->jwt_algorithm);
	struct arena *a = arena_new(64 * 1024);
	enum err e;

	forget_all();
	if (alg == NULL)
		e = log_fail(E_BUG, EV("key.algorithm_unknown"), KS("name", conf->jwt_algorithm));
	else if (alg->key_type == NULL)
		e = add_secret(alg, conf->jwt_secret_key == NULL ? "" : conf->jwt_secret_key);
	else
		e = add_signer(a, alg, conf->jwt_private_key_file);
	if (e == OK && (e = add_old_secrets(conf->jwt_secret_key_old)) == OK &&
	    (e = add_folder(a, conf->jwt_keys_dir)) == OK)
		jwks = print_jwks(a);
	arena_free(&a);
	return e;
}

/*
 * Using them
 */

const struct key *
keyring_signer(void)
{
	return &keys[0];
}

const char *
key_kid(const struct key *k)
{
	return k->kid;
}

const char *
key_text(const struct key *k)
{
	return k->text;
}

const char *
keyring_jwks(void)
{
	return jwks;
}

/* A token without a kid is one of before there were kids. */
const struct key *
keyring_find(const char *kid, const char *algorithm)
{
	for (int i = 0; i < n_keys; i++) {
		bool named = kid == NULL ? i == 0 : strcmp(keys[i].kid, kid) == 0;

		if (named && strcmp(keys[i].algorithm, algorithm) == 0)
			return &keys[i];
	}
	return NULL;
}

static bool
mac_is(EVP_MAC_CTX *ctx, const char *text, size_t len, const unsigned char *mac, size_t mac_len)
{
	unsigned char own[EVP_MAX_MD_SIZE];
	size_t own_len = 0;
	bool made = EVP_MAC_init(ctx, NULL, 0, NULL) == 1 &&
		    EVP_MAC_update(ctx, (const unsigned char *)text, len) == 1 &&
		    EVP_MAC_final(ctx, own, &own_len, sizeof(own)) == 1;

	return made && own_len > 0 && own_len == mac_len && rnd_same(own, mac, own_len);
}

/* RFC 7518, 3.4: the two numbers behind each other; libcrypto wants them in DER. */
static int
der_of(const unsigned char *pair, size_t len, unsigned char **der_r)
{
	ECDSA_SIG *sig = len == 2 * P256_BYTES ? ECDSA_SIG_new() : NULL;
	BIGNUM *r, *s;
	int der_len;

	*der_r = NULL;
	if (sig == NULL)
		return -1;
	r = BN_bin2bn(pair, P256_BYTES, NULL);
	s = BN_bin2bn(pair + P256_BYTES, P256_BYTES, NULL);
	if (r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1)
		abort(); /* no memory */
	der_len = i2d_ECDSA_SIG(sig, der_r);
	ECDSA_SIG_free(sig);
	return der_len;
}

static bool
public_verifies(EVP_PKEY *key, const char *text, size_t len, const unsigned char *sig,
		size_t sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL &&
		    EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
		    EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)text, len) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

bool
key_verifies(const struct key *k, const char *text, size_t len, const unsigned char *signature,
	     size_t signature_len)
{
	unsigned char *der;
	int der_len;
	bool good;

	if (k->mac != NULL)
		return mac_is(k->mac, text, len, signature, signature_len);
	if (!EVP_PKEY_is_a(k->public, "EC"))
		return public_verifies(k->public, text, len, signature, signature_len);
	der_len = der_of(signature, signature_len, &der);
	good = der_len > 0 && public_verifies(k->public, text, len, der, (size_t)der_len);
	OPENSSL_free(der);
	return good;
}

/*
 * Making one
 */

static bool
write_key(const char *path, mode_t mode, EVP_PKEY *key, bool private)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int wrote;

	if (f == NULL)
		return false;
	wrote = private ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)
			: PEM_write_PUBKEY(f, key);
	return (fclose(f) == 0) & (wrote == 1);
}

enum err
keyring_make(struct arena *a, const char *algorithm, const char *path, const char **kid_r)
{
	const char *pub = arena_printf(a, "%s.pub", path);
	char *kid = arena_get(a, KID_SIZE);
	EVP_PKEY *key = NULL;
	enum err e = OK;

	if (strcmp(algorithm, "ES256") == 0)
		key = EVP_EC_gen("P-256");
	else if (strcmp(algorithm, "RS256") == 0)
		key = EVP_RSA_gen(RSA_NEW_BITS);
	if (key == NULL)
		return E_INVALID;
	if (access(pub, F_OK) == 0) {
		errno = EEXIST;
		e = E_CONFLICT;
	} else if (!write_key(path, 0600, key, true) || !write_key(pub, 0644, key, false))
		e = E_CONFLICT;
	thumbprint(a, essence(a, key), kid);
	*kid_r = kid;
	EVP_PKEY_free(key);
	return e;
}
